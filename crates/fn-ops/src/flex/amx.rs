//! The product of tiles with Intel's AMX.
//!
//! A tile register holds 16 rows of 64 bytes. One instruction multiplies a tile of `a` (16 rows, 32 columns of bf16) by a tile of `b`
//! (32 rows, in pairs, 16 columns) and adds the product to a tile of 16 x 16 sums in f32. Four tiles of sums are in registers at a
//! time: 32 x 32 elements of the target.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
use std::marker::PhantomData;
use std::sync::LazyLock;

use super::blocks::Kernel;
use super::dot;
use super::pack::Tile;
use super::product::Target;

/// Whether the processor has AMX with bf16 and the system lets this process use it.
pub(super) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(ask);
    *AVAILABLE
}

/// Linux lets a process use the 8 KiB of tile registers if it asks.
#[allow(unsafe_code)]
fn ask() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // Packing needs AVX-512 as well.
    if !dot::available() || __get_cpuid_max(0).0 < 7 {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    let (bf16, tile) = (features >> 22 & 1 == 1, features >> 24 & 1 == 1);
    // SAFETY: the system call takes two numbers and writes no memory of this process.
    bf16 && tile && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes.
static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// The kernel; a value proves that the tile registers of this thread are configured as in [`CONFIG`]. Dropping it releases them.
pub(super) struct Amx {
    /// Registers belong to a thread.
    _not_send: PhantomData<*const ()>,
}

#[allow(unsafe_code)]
impl Drop for Amx {
    fn drop(&mut self) {
        // SAFETY: the processor has the instruction, see `begin`. It clears the tile registers, which are named, and their
        // configuration, so that the system need not save them any longer.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, nomem, preserves_flags),
            );
        }
    }
}

/// [`Kernel::sums`] as one block of assembly, so that no tile register holds a value between two blocks. Registers 0 to 3 are the
/// sums, which the instructions `$start` initialise; 4 and 5 are tiles of `a`, 6 and 7 of `b`.
macro_rules! sums {
    ([$($start:literal),*], $a:expr, $b:expr, $target:expr) => {
        asm!(
            $($start,)*
            "test {left}, {left}",
            "jz 3f",
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
            "3:",
            "tilestored [{c} + {bytes}], tmm0",
            "tilestored [{c} + {bytes} + 64], tmm1",
            "tilestored [{below} + {bytes}], tmm2",
            "tilestored [{below} + {bytes} + 64], tmm3",
            a = inout(reg) $a.as_ptr() => _,
            b = inout(reg) $b.as_ptr() => _,
            left = inout(reg) $a.len() / 2 => _,
            row = in(reg) 64_usize,
            c = in(reg) $target.data,
            below = in(reg) $target.at(16, 0).data,
            bytes = in(reg) $target.stride * size_of::<f32>(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

#[allow(unsafe_code)]
impl Kernel for Amx {
    const DEEP: usize = 1024;

    unsafe fn begin() -> Self {
        // SAFETY: the processor has the instruction (the caller's promise); it reads `CONFIG` and clears the tile registers.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const CONFIG,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags),
            );
        }
        Self { _not_send: PhantomData }
    }

    unsafe fn sums(&self, a: &[Tile], b: &[Tile], target: Target) {
        debug_assert_eq!(a.len(), b.len());
        // SAFETY: `self` proves that the tile registers are configured. What is read are the slices, in pairs of tiles of 2048 bytes
        // (as many of `b` as of `a`, the caller's promise), and the target if it is added to; what is written is the target.
        unsafe {
            if target.add {
                sums!(
                    [
                        "tileloadd tmm0, [{c} + {bytes}]",
                        "tileloadd tmm1, [{c} + {bytes} + 64]",
                        "tileloadd tmm2, [{below} + {bytes}]",
                        "tileloadd tmm3, [{below} + {bytes} + 64]"
                    ],
                    a,
                    b,
                    target
                );
            } else {
                sums!(["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"], a, b, target);
            }
        }
    }
}
