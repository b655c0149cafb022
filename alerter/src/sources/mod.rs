//! Where demands come from: plugins, one file each.
