//! Metric families, both text formats, parser, negotiation and gzip.
