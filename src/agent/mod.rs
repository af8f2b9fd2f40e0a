//! What thinks: the trait and its kinds, one file each.
