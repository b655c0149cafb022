//! The quickstart's stories, and the end-to-end tests of both daemons together.
