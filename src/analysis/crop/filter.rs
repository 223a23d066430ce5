//! The filter of one direction.

use std::ops::Range;

use super::Sampling;

/// Which samples make up each output value along one direction, and with what weights.
#[derive(Default)]
pub(super) struct Filter {
    key: Option<((f32, f32), Sampling, usize)>,
    /// The samples that any output value needs.
    pub span: Range<usize>,
    /// For each output value its first sample.
    starts: Vec<usize>,
    /// For each output value `taps` weights, which add up to 1.
    weights: Vec<f32>,
    taps: usize,
}

impl Filter {
    /// Makes a filter for `outputs` values from the picture between `limits`, unless it is there.
    pub fn prepare(&mut self, limits: (f32, f32), sampling: Sampling, outputs: usize) {
        let key = Some((limits, sampling, outputs));
        if self.key == key {
            return;
        }
        let len = sampling.len;
        let (from, to) = (sampling.position(limits.0), sampling.position(limits.1));
        let scale = (to - from) / outputs as f32;
        let support = scale.abs().max(1.0);
        self.taps = (2.0 * support).ceil() as usize + 1;
        self.taps = self.taps.min(len);
        self.starts.clear();
        self.weights.clear();
        self.weights.resize(self.taps * outputs, 0.0);
        for (index, weights) in self.weights.chunks_exact_mut(self.taps).enumerate() {
            let center = from + (index as f32 + 0.5) * scale;
            let (first, last) = ((center - support).floor() as isize, (center + support).ceil() as isize);
            let start = first.clamp(0, (len - self.taps) as isize);
            for sample in first..last {
                let distance = (sample as f32 + 0.5 - center).abs() / support;
                let nearest = sample.clamp(0, len as isize - 1);
                // Where rounding made one sample too many, its weight is as good as 0.
                let tap = ((nearest - start) as usize).min(self.taps - 1);
                weights[tap] += (1.0 - distance).max(0.0);
            }
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            self.starts.push(start as usize);
        }
        self.tighten(len);
        let start = self.starts.iter().min().copied().unwrap_or(0);
        let end = self.starts.iter().max().copied().unwrap_or(0) + self.taps;
        self.span = start..end;
        self.key = key;
    }

    /// Leaves out weights of 0 at both ends: where nothing is scaled, one of three taps counts.
    fn tighten(&mut self, len: usize) {
        let nonzero = |weights: &[f32]| {
            let from = weights.iter().position(|&weight| weight != 0.0).unwrap_or(0);
            let to = weights.iter().rposition(|&weight| weight != 0.0).unwrap_or(0);
            from..to + 1
        };
        let rows = self.weights.chunks_exact(self.taps);
        let taps = rows.map(|weights| nonzero(weights).len()).max().unwrap_or(1);
        for (index, start) in self.starts.iter_mut().enumerate() {
            let old = index * self.taps;
            let Range { start: from, end: to } = nonzero(&self.weights[old..old + self.taps]);
            let first = (*start + from).min(len - taps);
            let skip = *start + from - first;
            // No row moves back, so none is overwritten before its turn.
            let new = index * taps;
            self.weights.copy_within(old + from..old + to, new + skip);
            self.weights[new..new + skip].fill(0.0);
            self.weights[new + skip + to - from..new + taps].fill(0.0);
            *start = first;
        }
        self.weights.truncate(taps * self.starts.len());
        self.taps = taps;
    }

    /// Whether output values are samples of the span as they are.
    pub fn copies(&self) -> bool {
        self.taps == 1 && self.span.len() == self.starts.len() && self.starts.is_sorted_by(|a, b| a < b)
    }

    /// How many output values there are.
    pub fn outputs(&self) -> usize {
        self.starts.len()
    }

    /// The first sample of an output value, and the weights from there on.
    #[inline(always)]
    pub fn taps(&self, index: usize) -> (usize, &[f32]) {
        (self.starts[index], &self.weights[index * self.taps..][..self.taps])
    }
}
