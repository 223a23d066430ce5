//! That a running classifier and a running analyzer leave the heap alone. Alone in its program, since
//! it counts the allocations of all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gstsmile::analysis::{Analyzer, Cropper, Picture, Rect, Request, Search};
use gstsmile::model::{Block, Classifier, DeviceChoice, FaceWeights, SmileWeights};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: All is left to the system's allocator; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: The caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: The caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: The caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    gst::init().unwrap();
    classifier();
    analyzer();
    formats();
}

fn classifier() {
    let weights = SmileWeights::embedded().unwrap();
    let mut classifier = Classifier::new(&weights, &DeviceChoice::Cpu.open().unwrap()).unwrap();
    let len = classifier.metadata().architecture.input_len();
    let pictures: Vec<u8> = (0..11 * len).map(|index| (index % 251) as u8).collect();
    let mut probabilities = Vec::new();
    classifier.probabilities(&pictures, &mut probabilities).unwrap();

    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for call in 0..10_000 {
        // One picture a call, as in a live pipeline, and now and then a crowd.
        let count = if call % 100 == 0 { 11 } else { 1 };
        classifier.probabilities(&pictures[..count * len], &mut probabilities).unwrap();
        assert_eq!(probabilities.len(), count);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in 10,000 calls");
    println!("10,000 calls without an allocation");
}

fn analyzer() {
    let weights = SmileWeights::embedded().unwrap();
    let faces = merging(&FaceWeights::embedded().unwrap());
    let mut analyzer = Analyzer::new(&weights, Some(&faces), DeviceChoice::Cpu).unwrap();
    let data: Vec<u8> = (0..3 * 320 * 240).map(|index| (index % 251) as u8).collect();
    let picture = Picture::rgb(320, 240, &data);
    let rects = [30.0, 150.0, 220.0].map(|x| Rect { x, y: 40.0, width: 60.0, height: 80.0 });
    let mut run = |frames: std::ops::Range<u64>| {
        for frame in frames {
            // Faces come and go; in every fourth frame they are looked for.
            let request = match frame % 4 {
                3 => Request { search: Search::Faces, ..Request::default() },
                count => Request { search: Search::Regions, regions: &rects[..=count as usize], skip: false },
            };
            analyzer.analyze(&picture, Some(Duration::from_millis(33 * frame)), &request).unwrap();
        }
    };
    run(0..8);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run(8..400);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in 392 frames");
    println!("392 frames without an allocation");
}

/// The face detector with heads that all merge what the next one reads.
fn merging(weights: &FaceWeights) -> FaceWeights {
    let mut architecture = weights.metadata.architecture.clone();
    let last = architecture.blocks.len() - 1;
    for block in &mut architecture.blocks[..last] {
        if let Block::Head { merge, .. } = block {
            *merge = true;
        }
    }
    weights.for_architecture(&architecture).unwrap().expect("only heads differ")
}

/// Frames of more than 8 bits a sample, and such as have to be unpacked.
fn formats() {
    use gst_video::VideoFormat::{Nv124l4, P01010le, Rgb16, V210};
    for format in [P01010le, V210, Nv124l4, Rgb16] {
        let info = gst_video::VideoInfo::builder(format, 320, 240).build().unwrap();
        let buffer = gst::Buffer::from_mut_slice(vec![77; info.size()]);
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
        let (mut cropper, mut output) = (Cropper::new(64, 48), vec![0; 3 * 64 * 48]);
        let mut run = |frames: usize| {
            for _ in 0..frames {
                let picture = gstsmile::smilefilter::picture(&frame).unwrap();
                cropper.crop(&picture, picture.bounds(), &mut output);
                cropper.crop_grey(&picture, picture.bounds(), &mut output[..64 * 48]);
            }
        };
        run(2);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        run(100);
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{format:?}: allocations in 100 frames");
    }
    println!("100 frames of each of four formats without an allocation");
}
