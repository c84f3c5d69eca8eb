//! GitOps: Argo CD's scripts tell the truth about what the operator writes, its actions do what they say, and what Git
//! owns is never touched. With a real API server, a real kubectl and a real Lua.

mod actions;
mod cluster;
mod health;
mod lua;
mod untouched;
