//! beitle
