use stationkeeper_core::event::Event;
use crate::fake_station::*;
use crate::given::*;
#[test]
fn debug_it() {
    let st = FakeStation::default().with("Boot","0",Habit::Volatile).with("Whenever","1",Habit::Ignores);
    let mut w = World::new(scene(&[base(&[("Boot","1"),("Whenever","0")])]), st);
    for i in 0..6 {
        w.run();
        println!("{i} {:?}", w.values());
        for v in w.verdicts() { println!("   {} {:?} {:?} {}", v.key, v.state, v.reason, v.message); }
        println!("   {:?}", w.scene.memory.keys.get(&"Boot".into()).map(|k| &k.write));
        w.boot();
    }
    let _ = std::any::type_name::<Event>();
}
