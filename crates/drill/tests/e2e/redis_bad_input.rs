//! What a stranger sends to a sentinel, and what a person gets wrong in its file: an answer, no crash, no growth.

use super::support::{Done, address, eventually, program, run};
use drill::redis::sentinel::{Maker, Sentinel, Timing};
use drill::redis::stub::Stub;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What the sentinel may need more after all that than before, for buffers and what the allocator keeps.
const GROWTH_MB_MAX: f64 = 16.0;

/// Frames that are no commands. The original's answers are the reference: it runs beside ours.
const FRAMES: &[&[u8]] = &[
    b"*1\r\n$1073741824\r\n",
    b"*2\r\n$4\r\nPING\r\n$-5\r\n",
    b"*x\r\n",
    b"*1\r\n+PING\r\n",
    b"*1\r\n$x\r\n",
    b"PING \"unbalanced\r\n",
    b"*1\r\n$4\r\nPING\r\n*-1\r\n*0\r\nPING\r\n",
    b"SENTINEL nothing\r\nSENTINEL master\r\nSENTINEL master nobody\r\nGET x\r\nSENTINEL set m0 quorum many\r\n",
    b"\r\n\r\n\r\nPING\r\n",
];

/// Where ours says no before the original does: it would wait for all of this to arrive.
const FRAMES_WITHIN_THE_ORIGINALS_BOUNDS: &[&[u8]] = &[b"*1048577\r\n", b"*1\r\n$536870912\r\n"];

#[test]
fn a_sentinel_answers_bad_input_as_the_original_does_and_does_not_grow() {
    run(async {
        let stub = Stub::start(1, 0).await.unwrap();
        let (directory, other_directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = async |directory: &tempfile::TempDir, host, maker| {
            let at = SocketAddr::from((address(25, host), 26379));
            let mut sentinel = Sentinel::new(directory.path(), at, maker, &stub.masters, 1, Timing::REFERENCE).unwrap();
            sentinel.start().unwrap();
            eventually("it answers", async || sentinel.login().ask(&["PING"]).await.ok()).await;
            sentinel
        };
        let ours = start(&directory, 11, Maker::Quorate(program("quorate"))).await;
        let original = start(&other_directory, 12, Maker::Distribution).await;
        for sentinel in [&ours, &original] {
            let log = std::fs::read_to_string(sentinel.program.log_file()).unwrap();
            assert!(log.contains("Sentinel ID is "), "{log}");
        }

        for frame in FRAMES {
            let shown = String::from_utf8_lossy(frame);
            assert_eq!(said(ours.address, frame).await, said(original.address, frame).await, "for {shown:?}");
        }

        for frame in FRAMES_WITHIN_THE_ORIGINALS_BOUNDS {
            let answer = said(ours.address, frame).await;
            assert!(answer.starts_with("-ERR Protocol error: invalid "), "{answer}");
        }

        let memory = |sentinel: &Sentinel| sentinel.program.process().unwrap().resident_mb();
        let before = memory(&ours);
        // Half of a command each, and never the rest.
        let mut waiting = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(ours.address).await.unwrap();
            stream.write_all(b"*2\r\n$7\r\nPUBLISH\r\n$100000\r\nxxx").await.unwrap();
            waiting.push(stream);
        }
        never_reads(ours.address).await;
        assert_eq!(ours.ask(&["PING"]).await.unwrap().as_text().unwrap(), "PONG");
        let growth = memory(&ours) - before;
        assert!(growth < GROWTH_MB_MAX, "{growth} MB more than before");
    });
}

/// Everything that is answered until the connection ends or nothing more comes.
async fn said(sentinel: SocketAddr, frame: &[u8]) -> String {
    const QUIET: Duration = Duration::from_millis(300);
    let mut stream = TcpStream::connect(sentinel).await.unwrap();
    stream.write_all(frame).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(Ok(count @ 1..)) = timeout(QUIET, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks for much and takes nothing; ends when the server has cut it off, or has stopped to listen to it.
async fn never_reads(sentinel: SocketAddr) {
    const STUCK: Duration = Duration::from_secs(2);
    const ASKED_BYTES_MAX: usize = 64 * 1024 * 1024;
    let mut stream = TcpStream::connect(sentinel).await.unwrap();
    let questions = b"COMMAND\r\nINFO\r\n".repeat(256);
    let mut asked = 0;
    while let Ok(Ok(())) = timeout(STUCK, stream.write_all(&questions)).await {
        asked += questions.len();
        assert!(asked < ASKED_BYTES_MAX, "it takes questions without end from somebody who takes no answers");
    }
}

#[test]
fn a_mistake_in_a_sentinels_file_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sentinel.conf");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let check =
        |file: &std::path::Path| Done::of(Command::new(program("quorate")).arg("sentinel").arg(file).arg("--check"));
    for (line, expected) in [
        ("sentinel monitor db1 127.0.0.1 6379", "3"),
        ("sentinel monitor db1 127.0.0.1 6379 0", "3"),
        ("sentinel monitor db1 127.0.0.1 99999 2", "3"),
        ("sentinel down-after-milliseconds nobody 5000", "3"),
        ("sentinel nonsense db1 1", "3"),
        ("nonsense yes", "3"),
        ("redis: {listen: 127.0.0.1}", "this looks like YAML"),
        ("sentinel monitor db1 127.0.0.1 6379 1\nsentinel monitor db1 127.0.0.1 6380 1", "4"),
    ] {
        std::fs::write(&file, format!("port {port}\ndir {}\n{line}\n", directory.path().display())).unwrap();
        let before = std::fs::read(&file).unwrap();
        let done = Done::of(Command::new("timeout").args(["30"]).arg(program("quorate")).arg("sentinel").arg(&file));
        let said = format!("{}{}", done.out, done.err);
        assert!(!matches!(done.code, None | Some(0 | 124 | 101)), "for {line:?}: {:?} {said}", done.code);
        assert!(said.contains(expected) && said.len() < 2_000, "for {line:?}: {said}");
        assert_eq!(std::fs::read(&file).unwrap(), before, "a file with a mistake is left as it is");
        let checked = check(&file).failed(1);
        assert!(said.contains(checked.trim()), "for {line:?}: {checked}");
    }
    // Editors on Windows put a mark in front.
    let good =
        format!("\u{feff}port {port}\ndir {}\nsentinel monitor db1 127.0.0.1 6379 1\n", directory.path().display());
    std::fs::write(&file, &good).unwrap();
    assert!(check(&file).ok().contains("(1 master)"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), good, "nothing was started");
}
