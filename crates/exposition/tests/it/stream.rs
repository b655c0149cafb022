//! A page that arrives in pieces says what it says as a whole.

use exposition::{Format, Limits, ParseError, SeriesCache, Stream, negotiate::Version, parse::parse};
use proptest::prelude::*;

const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);
/// Bounds that some of the pages exceed.
const LIMITS: Limits = Limits { bytes: 300, line: 90, labels: 3, samples: 4 };

type Read = Result<Vec<(String, u64)>, ParseError>;

fn whole(page: &[u8], format: Format) -> Read {
    let samples = parse(page, format, &LIMITS)?;
    Ok(samples.iter().map(|sample| (sample.series.to_owned(), sample.value.to_bits())).collect())
}

fn in_pieces(page: &[u8], format: Format, size: usize, cache: &mut SeriesCache<String>) -> Read {
    let (mut stream, mut read) = (Stream::new(format, &LIMITS), Vec::new());
    for piece in page.chunks(size) {
        stream.read(
            piece,
            cache,
            |sample| sample.series.to_owned(),
            |series, value| read.push((series.clone(), value.to_bits())),
        )?;
    }
    stream.finish()?;
    cache.sweep();
    Ok(read)
}

/// Lines that are right, that are wrong, and that a known series must not be taken for.
const LINES: [&str; 18] = [
    "# TYPE a gauge\n",
    "a 1\n",
    "a 2\n",
    "a 1 5\n",
    "a{x=\"1\"} 1\n",
    "a{x=\"1\"}  2\r\n",
    "a{x=\"1\"}3\n",
    "a{x=\"1 2\",y=\"}\"} -Inf\n",
    "a{x=\"1\"} 1 7 # {} 1\n",
    "b{x=\"\u{e9}\\n\"} NaN\n",
    "\n",
    "# a 1\n",
    "a\n",
    "a{x=\"1\"} one\n",
    "a{x=\"1\",x=\"2\"} 1\n",
    "a{p=\"1\",q=\"2\",r=\"3\",s=\"4\"} 1\n",
    "long{x=\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234\"} 1\n",
    "# EOF\n",
];

proptest! {
    #[test]
    fn pieces_say_what_the_whole_says(
        lines in prop::collection::vec(0..LINES.len(), 0..12),
        cut in 0_usize..4,
        size in 1_usize..60,
        openmetrics: bool,
    ) {
        let mut page: String = lines.into_iter().map(|line| LINES[line]).collect();
        page.truncate(page.floor_char_boundary(page.len().saturating_sub(cut)));
        let format = if openmetrics { OPENMETRICS } else { Format::Text };
        let expected = whole(page.as_bytes(), format);
        let mut cache = SeriesCache::new();
        // The first time all is new, the second time all is known; other pages come between.
        let _ = in_pieces(b"a 5\nb 7\n", Format::Text, size, &mut cache);
        for _ in 0..2 {
            let found = in_pieces(page.as_bytes(), format, size, &mut cache);
            match (&expected, &found) {
                // How much of a page that is too large is read before that is seen may differ, and so its line.
                (Err(_), Err(_)) | (Ok(_), Ok(_)) => prop_assert_eq!(found.ok(), expected.clone().ok()),
                _ => prop_assert!(false, "{expected:?} but {found:?}"),
            }
        }
    }
}

#[test]
fn the_line_of_an_error_is_named() {
    let mut cache = SeriesCache::new();
    for size in [1, 7, 100] {
        let page = "a 1\na{x=\"1\"} 2\na{x=} 3\n";
        let error = in_pieces(page.as_bytes(), Format::Text, size, &mut cache).unwrap_err();
        assert_eq!(error, whole(page.as_bytes(), Format::Text).unwrap_err());
        assert_eq!(error.line, 3);
        let cut = in_pieces(b"a 1\na 2", Format::Text, size, &mut cache).unwrap_err();
        assert_eq!(cut, whole(b"a 1\na 2", Format::Text).unwrap_err());
    }
}
