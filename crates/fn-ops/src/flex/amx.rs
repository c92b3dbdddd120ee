//! Products in bf16 on the tiles of Intel's AMX.
//!
//! A tile is 16 rows of 64 bytes. One instruction multiplies a tile of `a` (16 rows of 32 numbers) by a tile of `b` (32 rows of
//! 16, two rows to a pair) and adds to a tile of 16 x 16 sums in f32. Four sums are kept at a time, 32 x 32 of the target.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
use std::marker::PhantomData;
use std::sync::LazyLock;

use super::blocks::Kernel;
use super::dot;
use super::pack::Tile;
use super::product::Target;

/// Whether the processor has the tiles and the system saves them for this process.
pub(super) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(ask);
    *AVAILABLE
}

/// Linux hands out the tiles, 8 KiB of registers, to processes that ask for them.
#[allow(unsafe_code)]
fn ask() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // Packing takes AVX-512 as well.
    if !dot::available() || __get_cpuid_max(0).0 < 7 {
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

/// The right to use this thread's tiles, configured as [`CONFIG`] says; dropping it releases them.
pub(super) struct Amx {
    /// Tiles belong to a thread.
    _not_send: PhantomData<*const ()>,
}

#[allow(unsafe_code)]
impl Drop for Amx {
    fn drop(&mut self) {
        // SAFETY: `begin` found the instructions. Clears the tiles (named below) and their configuration, so that the system
        // need not save them any longer.
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

/// All of one call of [`Kernel::sums`] in one block of assembly: no tile carries a number from one block to the next. Tiles 0 to 3
/// are the sums, which the given instructions set at first; 4 and 5 are of `a`, 6 and 7 of `b`.
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
        // SAFETY: the processor has the instruction (the caller's promise); it reads `CONFIG` and clears the tiles.
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
        // SAFETY: `self` shows that the tiles are configured. All that is read are the slices (pairs of tiles, 2048 bytes; as many
        // of `b` as of `a`, the caller's promise) and, where it is added to, the target; all that is written is the target.
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
