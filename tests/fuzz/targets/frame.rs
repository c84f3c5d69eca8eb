//! What a station sends: any text is a frame or told apart from one, and a frame that we write again means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stationkeeper_ocpp::frame::{Frame, FrameRef};

fuzz_target!(|text: &str| {
    let Ok(frame) = FrameRef::parse(text) else {
        return;
    };
    let frame = frame.into_owned();
    let again = frame.to_text();
    match Frame::parse(&again) {
        Ok(read) => assert_eq!(read.to_text(), again, "what we write is read as it was"),
        Err(error) => panic!("what we write cannot be read: {again:?}: {error:?}"),
    }
});
