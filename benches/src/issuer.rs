//! An issuer with one key, for each algorithm.
