/* A library for LD_PRELOAD: counts the calls that change files below a folder, and lets one of them fail.
 *
 *   FAULTS_UNDER   the folder, an absolute path
 *   FAULTS_COUNT   a file of eight bytes that holds the number of calls so far, of all processes
 *   FAULTS_AT      the call that fails, counted from 1; 0 for none
 *   FAULTS_ERRNO   how it fails
 *   FAULTS_LOG     a file that gets a line for each call: number, name, path
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *under;
static size_t under_length;
static _Atomic unsigned long *count;
static unsigned long at;
static int number;
static int record = -1;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_COUNT"), *log = getenv("FAULTS_LOG");
    if (getenv("FAULTS_UNDER") == NULL || file == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED) return;
    at = strtoul(getenv("FAULTS_AT") ? getenv("FAULTS_AT") : "0", NULL, 10);
    number = atoi(getenv("FAULTS_ERRNO") ? getenv("FAULTS_ERRNO") : "5");
    if (log) record = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    under = getenv("FAULTS_UNDER");
    under_length = strlen(under);
    count = map;
}

/* Whether this call, on a file of this path, is the one that fails. */
static int fails(const char *call, const char *path) {
    if (count == NULL || strncmp(path, under, under_length) != 0) return 0;
    unsigned long n = atomic_fetch_add(count, 1) + 1;
    if (record >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%lu %s %s\n", n, call, path + under_length);
        syscall(SYS_write, record, line, (size_t)length);
    }
    if (n != at) return 0;
    errno = number;
    return 1;
}

static int fails_fd(const char *call, int fd) {
    if (count == NULL) return 0;
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

static int fails_at(const char *call, int folder, const char *path) {
    if (count == NULL) return 0;
    if (path[0] == '/') return fails(call, path);
    char name[64], whole[2 * PATH_MAX];
    snprintf(name, sizeof name, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(name, whole, PATH_MAX - 1);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return fails(call, whole);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define ON_FD(type, name, parameters, arguments) \
    type name parameters { REAL(name); return fails_fd(#name, fd) ? (type)-1 : real arguments; }
#define ON_PATH(name, parameters, arguments) \
    int name parameters { REAL(name); return fails_at(#name, AT_FDCWD, path) ? -1 : real arguments; }

ON_FD(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))
ON_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
ON_FD(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
ON_FD(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))
ON_FD(int, ftruncate, (int fd, off_t n), (fd, n))
ON_FD(int, ftruncate64, (int fd, off64_t n), (fd, n))
ON_PATH(mkdir, (const char *path, mode_t m), (path, m))
ON_PATH(unlink, (const char *path), (path))
ON_PATH(rmdir, (const char *path), (path))

int rename(const char *path, const char *to) {
    REAL(rename);
    return fails_at("rename", AT_FDCWD, path) ? -1 : real(path, to);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    return fails_at("unlinkat", folder, path) ? -1 : real(folder, path, flags);
}

ssize_t copy_file_range(int from, off64_t *a, int fd, off64_t *b, size_t n, unsigned flags) {
    REAL(copy_file_range);
    return fails_fd("copy_file_range", fd) ? -1 : real(from, a, fd, b, n, flags);
}

#define OPEN(name, folder_parameter, folder)                                                  \
    int name(folder_parameter const char *path, int flags, ...) {                             \
        va_list rest;                                                                         \
        va_start(rest, flags);                                                                \
        mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;           \
        va_end(rest);                                                                         \
        if ((flags & O_CREAT) && fails_at("create", folder, path)) return -1;                 \
        return (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);             \
    }
#define NONE
#define FOLDER int at_folder,
OPEN(open, NONE, AT_FDCWD)
OPEN(open64, NONE, AT_FDCWD)
OPEN(openat, FOLDER, at_folder)
OPEN(openat64, FOLDER, at_folder)
