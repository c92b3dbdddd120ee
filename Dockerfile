# docker build -t fnlm . && docker run --rm -v "$PWD:/work" fnlm quickstart
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
COPY --from=build /src/target/release/fnlm /usr/local/bin/fnlm
WORKDIR /work
ENTRYPOINT ["fnlm"]
