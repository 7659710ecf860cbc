//! Products that are counted in `u64` are computed in `u64`: `(a * b) as u64` overflows first where `usize` has 32 bits, which no test
//! on a 64-bit machine shows.

use std::path::Path;
use syn::visit::Visit;
use syn::{BinOp, Expr, Type};

/// The functions that convert a product to `u64`.
#[derive(Default)]
struct Casts {
    function: String,
    found: Vec<String>,
}

impl Visit<'_> for Casts {
    fn visit_signature(&mut self, signature: &syn::Signature) {
        self.function = signature.ident.to_string();
        syn::visit::visit_signature(self, signature);
    }

    fn visit_expr_cast(&mut self, cast: &syn::ExprCast) {
        let mut inner = &*cast.expr;
        while let Expr::Paren(paren) = inner {
            inner = &paren.expr;
        }
        let is_product = matches!(inner, Expr::Binary(binary) if matches!(binary.op, BinOp::Mul(_)));
        if is_product && matches!(&*cast.ty, Type::Path(ty) if ty.path.is_ident("u64")) {
            self.found.push(self.function.clone());
        }
        syn::visit::visit_expr_cast(self, cast);
    }
}

fn casts(source: &str) -> Vec<String> {
    let mut casts = Casts::default();
    casts.visit_file(&syn::parse_file(source).unwrap());
    casts.found
}

fn check(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let found = casts(&std::fs::read_to_string(&path).unwrap());
            assert!(found.is_empty(), "{}: {found:?}: convert the factors, not the product", path.display());
        }
    }
}

#[test]
fn no_product_is_converted_to_u64() {
    assert_eq!(casts("fn f(a: usize) -> u64 { (a * 2) as u64 + a as u64 * 2 }"), ["f"]);
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src"));
}
