//! The chart with both Helms and a real API server: rendered, checked, installed, upgraded, rolled back, uninstalled; the
//! operator with exactly the rights that the chart gives it; the plain manifests and the admission samples.
//!
//! What has no part here, since it takes nodes: that a Service balances, that a NetworkPolicy blocks, that Pods start.

mod accepted;
mod admission;
mod helm;
mod helm_test;
mod in_image;
mod installed;
mod plain;
mod release;
mod rendering;
mod rights;
mod rollout;
