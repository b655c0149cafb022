//! Metric families in Prometheus's two text formats: written, negotiated, compressed and parsed.
//!
//! A daemon keeps what it shows in a [`Sheet`] (many rows, few of which change) or builds it afresh as
//! [`Families`], publishes both on a [`Page`], and answers each scrape with a copy of finished bytes.
//! The other side reads pages with [`Parser`] or, while they arrive and every few seconds, with a [`Stream`] and a
//! [`SeriesCache`].

mod desc;
mod families;
mod gzip;
pub mod negotiate;
mod page;
pub mod parse;
mod reference;
mod registry;
mod sheet;
mod text;

pub use desc::{Desc, Kind};
pub use families::{Families, Family};
pub use negotiate::{Format, accepts_gzip, format_for};
pub use page::{Page, Part, Scrape};
pub use parse::{Entry, Limits, ParseError, Parser, Sample, SeriesCache, Stream};
pub use prometheus;
pub use reference::reference;
pub use sheet::{Cell, Sheet};
