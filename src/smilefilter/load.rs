//! Loading networks while frames pass.

use std::sync::{Arc, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Region;
use super::element::{CAT, SmileFilter};
use super::mailbox::Mailbox;
use super::swap::{Network, Swaps, explain};
use crate::model;

impl SmileFilter {
    /// Has a network loaded aside, for the next frame after that.
    pub fn load(&self, network: Network) {
        let Some(swaps) = self.state().swaps.clone() else { return };
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        if loader.is_none() {
            match self.start_loader() {
                Ok(started) => *loader = Some(started),
                Err(error) => {
                    drop(loader);
                    let words = format!("There is no thread to load {} with: {error}", network.property());
                    gst::element_imp_warning!(self, gst::ResourceError::Failed, ("{words}"));
                    return;
                }
            }
        }
        swaps.ask(network);
        if let Some(loader) = &*loader {
            // What waits there waits for the same networks, or those of a start before.
            loader.put(|_| swaps);
        }
    }

    /// A thread that loads one network after the other, so that however often the files change, no more
    /// than one is on its way into memory.
    fn start_loader(&self) -> std::io::Result<Mailbox<Arc<Swaps>, ()>> {
        let (loads, fails) = (self.obj().downgrade(), self.obj().downgrade());
        let work = move |swaps: Arc<Swaps>| {
            while let Some((network, number)) = swaps.next() {
                loads.upgrade()?.imp().load_now(network, number, &swaps);
            }
            None
        };
        Mailbox::new("smilefilter-load", work, move |panic| {
            fails.upgrade().iter().for_each(|obj| obj.imp().fail(&panic));
        })
    }

    fn load_now(&self, network: Network, number: u64, swaps: &Swaps) {
        let mut settings = self.settings().clone();
        settings.device = swaps.device().cloned().unwrap_or(settings.device);
        let loaded = network.load(&settings);
        let file = std::mem::take(network.file(&mut settings));
        match loaded {
            Ok(loaded) => {
                gst::info!(CAT, imp = self, "Loaded the {network:?} network of {file:?}");
                let wanted = swaps.is_wanted(network, number);
                swaps.deliver(network, number, file, loaded);
                if wanted && network == Network::Smile {
                    self.warn_where_unsuited(swaps);
                }
            }
            Err(error) if swaps.is_wanted(network, number) => {
                self.go_back(network, &file, swaps.file(network));
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::Read,
                    ("{}. The weights that were in use stay", explain(&error))
                );
            }
            Err(error) => gst::debug!(CAT, imp = self, "Not wanted any more: {error}"),
        }
    }

    /// Tells the user where the weights for smiles were trained on something else than what they see.
    pub fn warn_where_unsuited(&self, swaps: &Swaps) {
        let region = self.settings().frame.region;
        let Some(trained_on) = swaps.trained_on().filter(|&trained_on| !suits(trained_on, region)) else {
            return;
        };
        let (seen, remedy) = match trained_on {
            model::Region::Faces => ("faces", "auto"),
            model::Region::Center => ("the middle of whole pictures", "center"),
            model::Region::Full => ("whole pictures", "full"),
        };
        let region = region.to_value();
        let region = glib::EnumValue::from_value(&region).map_or("", |(_, value)| value.nick());
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            ("The weights for smiles were trained on {seen}, and region is {region}: expect more mistakes; set \
                 region to {remedy}, or model-file to other weights")
        );
    }

    /// Has the property of a file that can't be used name the one in use again, so that the element can
    /// be started again.
    fn go_back(&self, network: Network, bad: &str, in_use: String) {
        {
            let mut settings = self.settings();
            let file = network.file(&mut settings);
            if file != bad {
                return;
            }
            *file = in_use;
        }
        self.obj().notify(network.property());
    }
}

/// Whether weights were trained on what they will see.
fn suits(trained_on: model::Region, region: Region) -> bool {
    match region {
        Region::Auto | Region::Faces | Region::Roi => trained_on == model::Region::Faces,
        Region::Center | Region::Full => trained_on != model::Region::Faces,
    }
}
