use beitle::Model;
use beitle::plan::Plan;
#[test]
fn sizes() {
    for i in 0..16 {
        let f = beitle_fuzz::weight_file::valid(i);
        let mut m = beitle::memory::Arena::new(f.len()).unwrap();
        m.bytes_mut()[..f.len()].copy_from_slice(f);
        let m = Model::new(&m.bytes()[..f.len()]).unwrap();
        let p = Plan::new(&m, 1, (9, 7)).unwrap();
        let fa = m.facts();
        println!("{i} {} plan {} classes {} tokens {} ch {} level0 {:?}", f.len(), p.bytes(), fa.classes, fa.tokens(), fa.channels, fa.level(0));
    }
}
