package doctor

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/sign"
)

func TestDoctorComparesKeys(t *testing.T) {
	key, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	own, none := sign.NewRing(&key, nil), sign.NewRing(nil, nil)
	mine := []string{"0123456789abcdef", key.Public().ID()}
	for _, c := range []struct {
		keys   *sign.Ring
		hook   agent.Hook
		status engine.CheckStatus
		says   string
	}{
		{none, agent.Hook{State: agent.HookCalled}, engine.CheckOK, "no: whoever can write to the bucket can put code onto the machine"},
		{none, agent.Hook{State: agent.HookCalled, PublicKeys: mine}, engine.CheckWarn, "this console signs nothing"},
		{own, agent.Hook{State: agent.HookCalled}, engine.CheckWarn, "the machine loads what nobody has signed as well"},
		{own, agent.Hook{State: agent.HookCalled, PublicKeys: mine}, engine.CheckOK, "is forgotten at a restart"},
		{own, agent.Hook{State: agent.HookCalled, PublicKeys: mine, StateDir: "/data"}, engine.CheckOK, "which it keeps in /data"},
		{own, agent.Hook{State: agent.HookCalled, PublicKeys: mine[:1]}, engine.CheckWarn, "this console signs with " + key.Public().ID()},
		{own, agent.Hook{State: agent.HookCalled, WrongKeys: "public_key is set, and holds no key"}, engine.CheckWarn, "it loads no upgrade: public_key is set"},
		{own, agent.Hook{State: agent.HookAbsent}, "", ""},
	} {
		var got engine.Check
		d := &doctor{Patient: Patient{Keys: c.keys}, report: func(c engine.Check) { got = c }}
		d.signing(engine.Machine{ID: "m1"}, c.hook)
		if got.Status != c.status || !strings.Contains(got.Text, c.says) || (got.Status == engine.CheckWarn) != (got.Remedy != "") || got.Status != "" && got.Machine != "m1" {
			t.Errorf("%+v: %+v, want %s with %q", c.hook, got, c.status, c.says)
		}
	}
}

func TestDoctorChecksTheRecordsSignatures(t *testing.T) {
	key, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	var checks []engine.Check
	d := &doctor{Patient: Patient{Fly: "my-app", Keys: sign.NewRing(&key, nil)}, report: func(c engine.Check) { checks = append(checks, c) }}
	app := sign.App{Fly: "my-app", OTP: "my_app"}
	md := engine.Metadata{ImageRef: "registry.fly.io/my-app:1"}
	d.recorded("my_app", md)
	d.Keys.OwnCode(app, &md, time.Now())
	d.recorded("my_app", md)
	if len(checks) != 2 || checks[0].Status != engine.CheckWarn || !strings.Contains(checks[0].Text, "names no upgrade is not signed") || checks[1].Status != engine.CheckOK {
		t.Errorf("it names no upgrade: %+v", checks)
	}
	checks = nil
	signed := d.Keys.Upgrade(app, engine.HotUpgrade{Version: "2", SHA256: "aa"}, sign.Over{Image: md.ImageRef}, time.Now())
	md.HotUpgrade = &signed
	d.recorded("my_app", md)
	if len(checks) != 1 || checks[0].Status != engine.CheckOK || checks[0].Name != "record" {
		t.Errorf("got %+v", checks)
	}
	newer := agent.Hook{NewestMS: signed.Signature.SignedAtMS + 1}
	checks, d.hooks = nil, map[string]agent.Hook{"m1": {NewestMS: signed.Signature.SignedAtMS}, "m2": newer}
	d.recorded("my_app", md)
	if c := checks[0]; len(checks) != 1 || c.Status != engine.CheckWarn || c.Machine != "m2" || c.Remedy == "" || !strings.Contains(c.Text, "has run what was signed at") {
		t.Errorf("an old record: %+v", checks)
	}
	// A deploy that was taken back could not record that: the machine runs, and loads, what the record names.
	for back, status := range map[string]engine.CheckStatus{"aa": engine.CheckOK, "bb": engine.CheckWarn} {
		checks, newer.TakenBackTo = nil, back
		d.hooks = map[string]agent.Hook{"m2": newer}
		d.recorded("my_app", md)
		if len(checks) != 1 || checks[0].Status != status {
			t.Errorf("taken back to %s: %+v", back, checks)
		}
	}
	checks = append(checks[:0], engine.Check{})
	d.hooks = nil
	md.MachineUpgrades = map[string]engine.HotUpgrade{"m1": {Version: "3"}}
	d.recorded("my_app", md)
	if c := checks[len(checks)-1]; len(checks) != 2 || c.Status != engine.CheckWarn || c.Machine != "m1" || !strings.Contains(c.Text, "is not signed") || c.Remedy == "" {
		t.Errorf("got %+v", checks)
	}
}
