//! A Basiq on loopback: personas, outages, retry queue, faults and a clock that can run fast.
