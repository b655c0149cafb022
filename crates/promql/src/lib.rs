//! PromQL evaluated in process over a small window of samples.
