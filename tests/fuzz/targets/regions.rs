//! Any regions of interest on a buffer: the frame passes. Each is 17 bytes: its place and size, and which type it has, so
//! that hundreds fit.
#![no_main]

use std::cell::RefCell;

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta as RegionMeta;

const SIDE: u32 = 64;
const TYPES: [&str; 4] = ["face", "", "hand", "ein Gesicht"];

thread_local! {
    static HARNESS: RefCell<gst_check::Harness> = RefCell::new(harness());
}

fn harness() -> gst_check::Harness {
    let filter = gst::ElementFactory::make("smilefilter").property("device", "cpu").build().unwrap();
    filter.set_property_from_str("region", "roi");
    filter.set_property("max-faces", 3u32);
    let mut harness = gst_check::Harness::with_element(&filter, Some("sink"), Some("src"));
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, SIDE, SIDE)
        .fps((30, 1))
        .build()
        .unwrap();
    harness.set_src_caps(info.to_caps().unwrap());
    harness
}

// Buffers need GStreamer before the harness does.
fn start() {
    gst::init().unwrap();
    gstsmile::plugin_register_static().unwrap();
}

libfuzzer_sys::fuzz_target!(init: start(), |bytes: &[u8]| {
    let mut buffer = gst::Buffer::from_mut_slice(vec![90u8; (SIDE * SIDE) as usize]);
    for region in bytes.chunks_exact(17) {
        let value = |at: usize| u32::from_le_bytes(region[at..at + 4].try_into().unwrap());
        let roi_type = TYPES[usize::from(region[16]) % TYPES.len()];
        RegionMeta::add(buffer.make_mut(), roi_type, (value(0), value(4), value(8), value(12)));
    }
    HARNESS.with_borrow_mut(|harness| {
        let size = buffer.size();
        assert_eq!(harness.push_and_pull(buffer).expect("the frame is lost").size(), size);
        while harness.try_pull_event().is_some() || harness.try_pull_upstream_event().is_some() {}
    });
});
