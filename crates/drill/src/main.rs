//! `quorate-drill`: shows and measures a cluster of real processes on this machine.

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod bench_address;
#[cfg(target_os = "linux")]
mod bench_idle;
#[cfg(target_os = "linux")]
mod bench_pools;
#[cfg(target_os = "linux")]
mod bench_proxy;
#[cfg(target_os = "linux")]
mod bench_redis;
#[cfg(target_os = "linux")]
mod bench_scale;
#[cfg(target_os = "linux")]
mod demo;
#[cfg(target_os = "linux")]
mod incumbents;
#[cfg(target_os = "linux")]
mod options;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    options::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("quorate-drill runs on Linux only: it needs /proc and the addresses 127.0.0.11 to 127.0.0.13");
    std::process::ExitCode::from(2)
}
