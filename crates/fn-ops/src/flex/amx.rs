//! Products in bf16 on the tiles of Intel's AMX.
//!
//! A tile is 16 rows of 64 bytes. One instruction multiplies a tile of `a` (16 rows of 32 numbers) by a tile of `b` (32 rows of
//! 16, two rows to a pair) and adds to a tile of 16 x 16 sums in f32. Four sums are kept at a time, 32 x 32 of the target.
//! Operands are packed into tiles first (module `pack`), in blocks that fit the second-level cache.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
use std::cell::RefCell;
use std::sync::LazyLock;

use super::pack::{Order, TILE, Tile, WIDTH, pack};
use super::product::{Target, View};

/// Inner numbers in a block.
const DEEP: usize = 1024;
/// Rows of `a` and columns of `b` in a block.
const ROWS: usize = 256;
const COLUMNS: usize = 1024;

/// Whether the processor has the tiles and the system saves them for this process.
pub(crate) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(ask);
    *AVAILABLE
}

/// Linux hands out the tiles, 8 KiB of registers, to processes that ask for them.
#[allow(unsafe_code)]
fn ask() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    if !is_x86_feature_detected!("avx512bw") || !is_x86_feature_detected!("avx512bf16") {
        return false;
    }
    if __get_cpuid_max(0).0 < 7 {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    let (bf16, tile) = (features >> 22 & 1 == 1, features >> 24 & 1 == 1);
    // SAFETY: the call takes two numbers and touches no memory of ours.
    bf16 && tile && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

/// What `ldtilecfg` reads: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

thread_local! {
    /// Packed blocks of `a` and `b`.
    static PACKED: RefCell<[Vec<Tile>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// `target (+)= factor a b` of operands rounded to bf16.
///
/// # Safety
/// [`available`] must have said so; `a` and `b` must hold `[m, k]` and `[k, n]`; the target as for
/// [`exact_product`](super::product::exact_product).
#[allow(unsafe_code)]
pub(crate) unsafe fn product([m, k, n]: [usize; 3], target: Target, a: View, b: View, factor: f32) {
    PACKED.with_borrow_mut(|[packed_a, packed_b]| {
        // SAFETY: the tiles are this thread's while it runs; nothing else in the program uses them.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly, preserves_flags))
        };
        for (column, columns) in steps(n, COLUMNS) {
            for (deep, inner) in steps(k, DEEP) {
                // SAFETY: blocks of what the caller vouches for; the processor has AVX-512 with bf16.
                unsafe { pack(packed_b, b.from(deep, column).turned(), columns, inner, Order::Pairs) };
                for (row, rows) in steps(m, ROWS) {
                    // SAFETY: as above.
                    unsafe { pack(packed_a, a.from(row, deep), rows, inner, Order::Rows) };
                    let part = target.at(row, column);
                    let part = Target { add: part.add || deep > 0, ..part };
                    // SAFETY: as above; both were just packed.
                    unsafe { block([rows, inner, columns], part, packed_a, packed_b, factor) };
                }
            }
        }
        if k == 0 && !target.add {
            for row in 0..m {
                // SAFETY: a row of the target.
                unsafe { std::slice::from_raw_parts_mut(target.at(row, 0).data, n) }.fill(0.0);
            }
        }
        // SAFETY: gives the registers back, so that nobody has to save them.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    });
}

/// Starts and lengths of the steps through `0..n`.
fn steps(n: usize, step: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(step).map(move |from| (from, step.min(n - from)))
}

/// A product of packed blocks.
///
/// # Safety
/// `a` and `b` must be packed from `[m, k]` and `[k, n]`, tiles configured, and the target as for [`product`].
#[allow(unsafe_code)]
unsafe fn block([m, k, n]: [usize; 3], target: Target, a: &[Tile], b: &[Tile], factor: f32) {
    let tiles = 2 * k.div_ceil(TILE);
    for (column, width) in steps(n, WIDTH) {
        let b = &b[column / WIDTH * tiles..][..tiles];
        for (row, height) in steps(m, WIDTH) {
            let a = &a[row / WIDTH * tiles..][..tiles];
            let part = target.at(row, column);
            if height == WIDTH && width == WIDTH && factor == 1.0 {
                // SAFETY: 32 rows of 32 numbers of the target.
                unsafe { sums(a, b, part) };
                continue;
            }
            let mut all = [[0.0; WIDTH]; WIDTH];
            // SAFETY: `all` has 32 rows of 32 numbers.
            unsafe { sums(a, b, Target { data: all.as_mut_ptr().cast(), stride: WIDTH, add: false }) };
            for (i, sums) in all[..height].iter().enumerate() {
                // SAFETY: a row of the target.
                let row = unsafe { std::slice::from_raw_parts_mut(part.at(i, 0).data, width) };
                for (x, sum) in row.iter_mut().zip(sums) {
                    *x = if part.add { *x } else { 0.0 } + factor * sum;
                }
            }
        }
    }
}

/// 32 x 32 sums.
///
/// # Safety
/// `a` and `b` must be as long; tiles must be configured; the target must have 32 rows of 32 numbers.
#[allow(unsafe_code)]
unsafe fn sums(a: &[Tile], b: &[Tile], target: Target) {
    debug_assert_eq!(a.len(), b.len());
    let (c, below) = (target.data, target.at(16, 0).data);
    let bytes = target.stride * size_of::<f32>();
    // SAFETY: tiles 0 to 3 are sums, 4 and 5 of `a`, 6 and 7 of `b`. All that is read are the slices (pairs of tiles, 2048 bytes)
    // and, where it is added to, the target; all that is written is the target.
    unsafe {
        if target.add {
            asm!(
                "tileloadd tmm0, [{c} + {bytes}]",
                "tileloadd tmm1, [{c} + {bytes} + 64]",
                "tileloadd tmm2, [{below} + {bytes}]",
                "tileloadd tmm3, [{below} + {bytes} + 64]",
                c = in(reg) c, below = in(reg) below, bytes = in(reg) bytes,
                options(nostack, readonly, preserves_flags),
            );
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, nomem, preserves_flags),
            );
        }
        if !a.is_empty() {
            asm!(
                "2:",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm6, [{b} + {row}]",
                "tileloadd tmm7, [{b} + {row} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{a} + {row} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 2048",
                "add {b}, 2048",
                "dec {left}",
                "jnz 2b",
                a = inout(reg) a.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                left = inout(reg) a.len() / 2 => _,
                row = in(reg) 64_usize,
                options(nostack, readonly),
            );
        }
        asm!(
            "tilestored [{c} + {bytes}], tmm0",
            "tilestored [{c} + {bytes} + 64], tmm1",
            "tilestored [{below} + {bytes}], tmm2",
            "tilestored [{below} + {bytes} + 64], tmm3",
            c = in(reg) c, below = in(reg) below, bytes = in(reg) bytes,
            options(nostack, preserves_flags),
        );
    }
}
