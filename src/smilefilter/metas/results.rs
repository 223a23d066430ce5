//! The results as a custom meta, which holds what the message holds.
//!
//! A transform copies a meta without tags whatever it does to the picture, so that this one goes through conversions
//! that take the parameter off a region of interest. The price is that a custom meta learns nothing of the geometry
//! (its transform function gets no matrix, and a tag for the size would let `videocrop` drop it): places stay those of
//! the frame that was analysed, and [`Results::from_buffer`] asks the regions, which transforms scale, for newer ones.

use gst::meta::CustomMeta;

use super::regions;
use crate::smilefilter::Results;

/// Makes the meta known to GStreamer. A second copy of the plugin in the process shares it.
pub fn register() {
    if CustomMeta::is_registered(Results::META) {
        return;
    }
    CustomMeta::register_with_transform(Results::META, &[], |buffer, meta, _, _| {
        let Ok(mut copy) = CustomMeta::add(buffer, Results::META) else { return false };
        let copy = copy.mut_structure();
        meta.structure().iter().for_each(|(name, value)| copy.set_value(name, value.clone()));
        true
    });
}

/// Puts the results onto a buffer. A buffer has one such meta: what an element upstream has left, or whoever else uses
/// the name, gives way.
pub fn write(buffer: &mut gst::BufferRef, results: &Results) -> Result<(), glib::BoolError> {
    let mut meta = match CustomMeta::from_buffer(buffer, Results::META).is_ok() {
        true => CustomMeta::from_mut_buffer(buffer, Results::META)?,
        false => CustomMeta::add(buffer, Results::META)?,
    };
    let structure = meta.mut_structure();
    structure.remove_all_fields();
    results.fill(structure);
    Ok(())
}

impl Results {
    /// The name of the custom meta that holds the results on a buffer, with the fields of the message.
    pub const META: &str = "GstSmileFilterMeta";

    /// The results that the element put onto a buffer, as far downstream as its metas went, or `None` where there are
    /// none or they are malformed. [`Results::event`] is always an update.
    ///
    /// Where one region of interest on the buffer has the id [`Face::region`], the face is where that region is: in
    /// pixels of this buffer. Else, and where several of that id are in different places, it is where it was in the
    /// frame that was analysed, of [`Results::width`] × [`Results::height`] pixels, and its `region` is `None`.
    ///
    /// [`Face::region`]: crate::smilefilter::Face::region
    ///
    /// ```
    /// # use gstsmile::smilefilter::Results;
    /// fn smiling(sample: &gst::Sample) -> Option<usize> {
    ///     let results = Results::from_buffer(sample.buffer()?)?;
    ///     Some(results.faces.iter().filter(|face| face.smiling).count())
    /// }
    /// ```
    pub fn from_buffer(buffer: &gst::BufferRef) -> Option<Self> {
        let meta = CustomMeta::from_buffer(buffer, Self::META).ok()?;
        let mut results = Self::read(meta.structure()).ok()?;
        regions::follow(buffer, &mut results.faces);
        Some(results)
    }
}
