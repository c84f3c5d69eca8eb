//! The allocator of every program that holds the product: a fleet's statuses and frames are made by one thread and dropped
//! by another, which glibc's is slow at and keeps the memory of (`docs/adr/0011-an-allocator-of-our-own.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
