//! A view as Python sees it: arrays that belong to NumPy, filled again only when nobody else holds them (rules.md 1).
use crate::orders::{Fill, Funding, Gap, Order, Report, tuple_of};
use numpy::{IxDyn, PyArray, PyArrayDyn, PyArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString, PyTuple};
use tickerml_core::feature::{DEPTH, FEATURES};
use tickerml_core::session::{self, Seen, ViewCause};
use tickerml_core::sim;

/// Sets of arrays that are kept for use again: one with the caller, one being filled, and one to spare.
const POOL_MAX: usize = 3;

/// What is known at one decision point. Frozen, so that Python reads the fields that are objects without a call: a loop reads a
/// dozen of them at each step.
#[pyclass(frozen, get_all, module = "tickerml._native")]
pub struct View {
    index: u64,
    ts_ns: Py<PyInt>,
    cause: Py<PyString>,
    pos: u64,
    restarted: Py<PyBool>,
    book_px: Py<PyArrayDyn<i64>>,
    book_qty: Py<PyArrayDyn<i64>>,
    features: Py<PyArrayDyn<f64>>,
    state: Py<PyArrayDyn<u8>>,
    age_ns: Py<PyArrayDyn<i64>>,
    mark_e8: Py<PyArrayDyn<i64>>,
    orders: Py<PyTuple>,
    fills: Py<PyTuple>,
    reports: Py<PyTuple>,
    gaps: Py<PyTuple>,
    funding: Py<PyTuple>,
}

/// The arrays of one view.
struct Arrays {
    book_px: Py<PyArrayDyn<i64>>,
    book_qty: Py<PyArrayDyn<i64>>,
    features: Py<PyArrayDyn<f64>>,
    state: Py<PyArrayDyn<u8>>,
    age_ns: Py<PyArrayDyn<i64>>,
    mark_e8: Py<PyArrayDyn<i64>>,
}

/// Arrays that may be filled again.
pub struct Pool {
    arrays: Vec<Arrays>,
    nothing: Py<PyTuple>,
    instruments: usize,
    open: Open,
}

/// Own orders as they were last seen. Most steps change none of them, and then the next view has the same tuple.
struct Open {
    orders: Vec<Order>,
    tuple: Py<PyTuple>,
}

impl Pool {
    /// No arrays yet.
    pub fn new(py: Python<'_>) -> Self {
        let nothing = PyTuple::empty(py).unbind();
        let open = Open { orders: Vec::new(), tuple: nothing.clone_ref(py) };
        Pool { arrays: Vec::new(), nothing, instruments: 0, open }
    }

    /// The session's view as a Python object.
    pub fn view(&mut self, py: Python<'_>, from: &session::View) -> PyResult<Py<View>> {
        if self.instruments != from.seen.len() {
            self.arrays.clear();
            self.instruments = from.seen.len();
        }
        let free = self.arrays.iter().position(Arrays::is_free);
        let at = free.map_or_else(|| self.make(py), Ok)?;
        let arrays = &self.arrays[at];
        arrays.fill(py, &from.seen);
        let orders = self.open.tuple(py, &from.orders)?;
        Py::new(py, arrays.view(py, from, orders, &self.nothing)?)
    }

    /// New arrays; gives their place.
    fn make(&mut self, py: Python<'_>) -> PyResult<usize> {
        let made = Arrays::new(py, self.instruments)?;
        if self.arrays.len() == POOL_MAX {
            self.arrays.remove(0);
        }
        self.arrays.push(made);
        Ok(self.arrays.len() - 1)
    }
}

impl Open {
    fn tuple(&mut self, py: Python<'_>, now: &[sim::Order]) -> PyResult<Py<PyTuple>> {
        let same =
            self.orders.len() == now.len() && self.orders.iter().zip(now).all(|(was, is)| *was == Order::from(is));
        if !same {
            self.orders.clear();
            self.orders.extend(now.iter().map(Order::from));
            self.tuple = tuple_of(py, &self.orders, |_, order| *order)?;
        }
        Ok(self.tuple.clone_ref(py))
    }
}

impl Arrays {
    fn new(py: Python<'_>, n: usize) -> PyResult<Self> {
        Ok(Arrays {
            book_px: array(py, &[n, 2, DEPTH])?,
            book_qty: array(py, &[n, 2, DEPTH])?,
            features: array(py, &[n, FEATURES])?,
            state: array(py, &[n])?,
            age_ns: array(py, &[n])?,
            mark_e8: array(py, &[n])?,
        })
    }

    /// True where nobody else holds one of them: no view, and nobody who took one from a view.
    fn is_free(&self) -> bool {
        [&self.book_px, &self.book_qty, &self.age_ns, &self.mark_e8].into_iter().all(is_alone)
            && is_alone(&self.features)
            && is_alone(&self.state)
    }

    fn view(&self, py: Python<'_>, from: &session::View, orders: Py<PyTuple>, nothing: &Py<PyTuple>) -> PyResult<View> {
        let or_nothing = |empty: bool, make: &dyn Fn() -> PyResult<Py<PyTuple>>| {
            if empty { Ok(nothing.clone_ref(py)) } else { make() }
        };
        let quiet = from.reports.is_empty();
        Ok(View {
            index: from.index,
            ts_ns: PyInt::new(py, from.ts_ns).unbind(),
            cause: cause(py, from.cause),
            pos: from.pos,
            restarted: PyBool::new(py, from.restarted).to_owned().unbind(),
            book_px: self.book_px.clone_ref(py),
            book_qty: self.book_qty.clone_ref(py),
            features: self.features.clone_ref(py),
            state: self.state.clone_ref(py),
            age_ns: self.age_ns.clone_ref(py),
            mark_e8: self.mark_e8.clone_ref(py),
            orders,
            fills: or_nothing(quiet, &|| {
                let fills: Vec<_> = from.reports.iter().filter_map(|r| r.fill.as_ref()).collect();
                tuple_of(py, &fills, |n, f| Fill::new(f, n as u32))
            })?,
            reports: or_nothing(quiet, &|| tuple_of(py, &from.reports, |_, r| Report::from(r)))?,
            gaps: or_nothing(from.gaps.is_empty(), &|| tuple_of(py, &from.gaps, |_, g| Gap::from(g)))?,
            funding: or_nothing(from.funding.is_empty(), &|| tuple_of(py, &from.funding, |_, s| Funding::from(s)))?,
        })
    }

    fn fill(&self, py: Python<'_>, seen: &[Seen]) {
        // SAFETY: `is_free` (or `new`) has just shown that nobody else holds these arrays, and the GIL is held.
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
            let levels = n * 2 * DEPTH..(n + 1) * 2 * DEPTH;
            let places = px[levels.clone()].iter_mut().zip(&mut qty[levels]);
            for ((px, qty), level) in places.zip(one.top.as_flattened()) {
                (*px, *qty) = *level;
            }
            features[n * FEATURES..(n + 1) * FEATURES].copy_from_slice(&one.features);
            state[n] = one.state as u8;
            age[n] = one.age_ns;
            mark[n] = one.mark_e8;
        }
    }
}

/// The cause's name, one object for each.
fn cause(py: Python<'_>, cause: ViewCause) -> Py<PyString> {
    let name = match cause {
        ViewCause::Step => intern!(py, "step"),
        ViewCause::Report => intern!(py, "report"),
        ViewCause::Stop => intern!(py, "stop"),
    };
    debug_assert!(*name == cause.name());
    name.clone().unbind()
}

/// True where this is the only reference.
fn is_alone<T>(object: &Py<T>) -> bool {
    // SAFETY: the object is alive because we hold a reference; reading the count needs nothing more.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) == 1 }
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
