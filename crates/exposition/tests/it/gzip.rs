//! Compressed pages are read by the programs that people use.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use exposition::{Desc, Page, Sheet};

pub(crate) fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

fn pages() -> (Vec<u8>, Vec<u8>) {
    let (mut sheet, page) = (Sheet::new(&[Desc::gauge("up", "Whether.")]), Page::new());
    for row in 0..10_000_u64 {
        let name = format!("{:x}", row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        sheet.set(row, &[(0, &[("row", name.as_str()), ("rest", "the same for all")], row as f64)]);
    }
    page.publish([sheet.part()]);
    let scrape = page.scrape(None, Some("gzip"));
    assert_eq!(scrape.content_encoding, Some("gzip"));
    assert_eq!(scrape.len(), scrape.chunks.concat().len());
    (page.scrape(None, None).chunks.concat(), scrape.chunks.concat())
}

fn piped(program: &std::path::Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn gzip_reads_it() {
    let Some(gzip) = crate::tool("gzip", "GZIP_PROGRAM") else { return };
    let (plain, compressed) = pages();
    assert!(compressed.len() * 3 < plain.len(), "{} of {}", compressed.len(), plain.len());
    assert_eq!(piped(&gzip, &["-dc"], &compressed), plain);
}

#[test]
fn python_reads_it() {
    let Some(python) = crate::tool("python3", "PYTHON") else { return };
    let (plain, compressed) = pages();
    // One member, with nothing behind it, which zlib alone would not look past.
    let program = "import sys, zlib; d = zlib.decompressobj(31); t = d.decompress(sys.stdin.buffer.read()); \
                   assert d.eof and not d.unused_data; sys.stdout.buffer.write(t)";
    assert_eq!(piped(&python, &["-c", program], &compressed), plain);
}
