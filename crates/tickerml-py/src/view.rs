//! A view as Python sees it: arrays that belong to NumPy, filled again only when nobody else holds them (rules.md 1).
use crate::orders::{Fill, Gap, Order, Report, tuple_of};
use numpy::{IxDyn, PyArray, PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tickerml_core::feature::{DEPTH, FEATURES};
use tickerml_core::session::{self, Seen};

/// Views that are kept for use again: one with the caller, one being filled, and one to spare.
const POOL_MAX: usize = 3;

/// What is known at one decision point.
#[pyclass(module = "tickerml._native")]
pub struct View {
    #[pyo3(get)]
    index: u64,
    #[pyo3(get)]
    ts_ns: i64,
    #[pyo3(get)]
    cause: &'static str,
    #[pyo3(get)]
    pos: u64,
    #[pyo3(get)]
    restarted: bool,
    #[pyo3(get)]
    book_px: Py<PyArrayDyn<i64>>,
    #[pyo3(get)]
    book_qty: Py<PyArrayDyn<i64>>,
    #[pyo3(get)]
    features: Py<PyArrayDyn<f64>>,
    #[pyo3(get)]
    state: Py<PyArrayDyn<u8>>,
    #[pyo3(get)]
    age_ns: Py<PyArrayDyn<i64>>,
    #[pyo3(get)]
    mark_e8: Py<PyArrayDyn<i64>>,
    #[pyo3(get)]
    orders: Py<PyTuple>,
    #[pyo3(get)]
    fills: Py<PyTuple>,
    #[pyo3(get)]
    reports: Py<PyTuple>,
    #[pyo3(get)]
    gaps: Py<PyTuple>,
    #[pyo3(get)]
    funding: Py<PyTuple>,
}

/// Views that may be filled again.
pub struct Pool {
    views: Vec<Py<View>>,
    nothing: Py<PyTuple>,
    instruments: usize,
}

impl Pool {
    /// No views yet.
    pub fn new(py: Python<'_>) -> Self {
        Pool { views: Vec::new(), nothing: PyTuple::empty(py).unbind(), instruments: 0 }
    }

    /// The session's view as a Python object.
    pub fn view(&mut self, py: Python<'_>, from: &session::View) -> PyResult<Py<View>> {
        if self.instruments != from.seen.len() {
            self.views.clear();
            self.instruments = from.seen.len();
        }
        let free = self.views.iter().position(|view| is_free(py, view));
        let view = match free {
            Some(at) => self.views[at].clone_ref(py),
            None => self.make(py)?,
        };
        view.borrow_mut(py).fill(py, from, &self.nothing)?;
        Ok(view)
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Py<View>> {
        let n = self.instruments;
        let view = Py::new(
            py,
            View {
                index: 0,
                ts_ns: 0,
                cause: "step",
                pos: 0,
                restarted: false,
                book_px: array(py, &[n, 2, DEPTH])?,
                book_qty: array(py, &[n, 2, DEPTH])?,
                features: array(py, &[n, FEATURES])?,
                state: array(py, &[n])?,
                age_ns: array(py, &[n])?,
                mark_e8: array(py, &[n])?,
                orders: self.nothing.clone_ref(py),
                fills: self.nothing.clone_ref(py),
                reports: self.nothing.clone_ref(py),
                gaps: self.nothing.clone_ref(py),
                funding: self.nothing.clone_ref(py),
            },
        )?;
        if self.views.len() == POOL_MAX {
            self.views.remove(0);
        }
        self.views.push(view.clone_ref(py));
        Ok(view)
    }
}

/// True where only the pool holds the view and only the view holds its arrays.
fn is_free(py: Python<'_>, view: &Py<View>) -> bool {
    if !is_alone(view) {
        return false;
    }
    let v = view.borrow(py);
    [&v.book_px, &v.book_qty, &v.age_ns, &v.mark_e8].iter().all(|array| is_alone(array))
        && is_alone(&v.features)
        && is_alone(&v.state)
}

/// True where this is the only reference.
fn is_alone<T>(object: &Py<T>) -> bool {
    // SAFETY: the object is alive because we hold a reference; reading the count needs nothing more.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

impl View {
    fn fill(&mut self, py: Python<'_>, from: &session::View, nothing: &Py<PyTuple>) -> PyResult<()> {
        (self.index, self.ts_ns, self.pos) = (from.index, from.ts_ns, from.pos);
        (self.cause, self.restarted) = (from.cause.name(), from.restarted);
        self.fill_arrays(py, &from.seen);
        let or_nothing = |empty: bool, make: &dyn Fn() -> PyResult<Py<PyTuple>>| {
            if empty { Ok(nothing.clone_ref(py)) } else { make() }
        };
        self.orders = or_nothing(from.orders.is_empty(), &|| tuple_of(py, &from.orders, |_, o| Order::from(o)))?;
        self.reports = or_nothing(from.reports.is_empty(), &|| tuple_of(py, &from.reports, |_, r| Report::from(r)))?;
        self.fills = or_nothing(from.reports.is_empty(), &|| {
            let fills: Vec<_> = from.reports.iter().filter_map(|r| r.fill.as_ref()).collect();
            tuple_of(py, &fills, |n, f| Fill::new(f, n as u32))
        })?;
        self.gaps = or_nothing(from.gaps.is_empty(), &|| tuple_of(py, &from.gaps, |_, g| Gap::from(g)))?;
        Ok(())
    }

    fn fill_arrays(&self, py: Python<'_>, seen: &[Seen]) {
        // SAFETY: `is_free` (or `make`) has just shown that nobody else holds these arrays, and the GIL is held.
        let (px, qty, features, state, age, mark) = unsafe {
            (
                slice(py, &self.book_px),
                slice(py, &self.book_qty),
                slice(py, &self.features),
                slice(py, &self.state),
                slice(py, &self.age_ns),
                slice(py, &self.mark_e8),
            )
        };
        for (n, one) in seen.iter().enumerate() {
            for (at, level) in one.top.as_flattened().iter().enumerate() {
                px[n * 2 * DEPTH + at] = level.0;
                qty[n * 2 * DEPTH + at] = level.1;
            }
            features[n * FEATURES..(n + 1) * FEATURES].copy_from_slice(&one.features);
            state[n] = one.state as u8;
            age[n] = one.age_ns;
            mark[n] = one.mark_e8;
        }
    }
}

fn array<T: numpy::Element>(py: Python<'_>, shape: &[usize]) -> PyResult<Py<PyArrayDyn<T>>> {
    let array = PyArray::<T, IxDyn>::zeros(py, shape, false);
    array.call_method1("setflags", (false,))?;
    Ok(array.unbind())
}

/// # Safety
/// Nobody else may read or write the array meanwhile.
unsafe fn slice<'a, T: numpy::Element>(py: Python<'a>, array: &'a Py<PyArrayDyn<T>>) -> &'a mut [T] {
    let bound = array.bind(py);
    // SAFETY: the caller's promise; the array is contiguous because `zeros` made it.
    unsafe { bound.as_slice_mut() }.expect("made contiguous")
}
