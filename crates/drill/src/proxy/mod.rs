//! Ways to a server, side by side: straight, through our proxy, through HAProxy; and the loads that compare them.
//!
//! The server is a stand-in that costs as little as possible, so that what is measured is the way. Our proxy runs alone in a
//! process of its own, with the code, the threads and the defaults it has in the worker.

pub mod load;
pub mod path;
pub mod stand_in;
