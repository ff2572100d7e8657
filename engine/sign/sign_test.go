package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// vectorsFile holds signed entries of current.json, which the Elixir side checks as well.
const vectorsFile = "../../elixir/test/fly_deploy/signatures.json"

var update = flag.Bool("update", false, "write "+vectorsFile)

// vector is one of them: Message is what was signed.
type vector struct {
	FlyApp    string            `json:"fly_app"`
	OTPApp    string            `json:"otp_app"`
	PublicKey string            `json:"public_key"`
	KeyID     string            `json:"key_id"`
	Upgrade   engine.HotUpgrade `json:"upgrade"`
	Message   string            `json:"message"`
}

var (
	at       = time.Date(2026, 11, 29, 12, 0, 0, 123_000_000, time.UTC)
	app      = App{Fly: "my-app", OTP: "my_app"}
	image    = "registry.fly.io/my-app:deployment-01A@sha256:" + strings.Repeat("a1", 32)
	complete = engine.HotUpgrade{
		Version: "1.2.4", SourceImageRef: "registry.fly.io/my-app:deployment-01B", TarballURL: "https://s3/bucket/releases/my_app-1.2.4.tar.gz",
		DeployedAt: at.Truncate(time.Second), SHA256: strings.Repeat("0f", 32), Size: 4_512_345, ID: "01K93QXXXXXXXXXXXXXXXXXXXX",
		Fingerprint: strings.Repeat("c0", 16), GitRevision: "4f2c91a-dirty", ReleaseCommand: "/app/bin/migrate",
		Agent: engine.CompiledAgent{URL: "https://s3/bucket/releases/my_app-agent-0a1b.beams", SHA256: strings.Repeat("0a", 32), Size: 90_123,
			Source: "2521178e39fa", OTP: "27", Elixir: "1.18.3"},
	}
)

// keyOf gives a key of the tests, always the same.
func keyOf(t *testing.T, seed byte) Key {
	t.Helper()
	key, err := ParseKey(signingPrefix + encoding.EncodeToString(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ringOf(t *testing.T, seed byte, trusted ...PublicKey) *Ring {
	key := keyOf(t, seed)
	return NewRing(&key, trusted)
}

func vectors(t *testing.T) []vector {
	r := ringOf(t, 1)
	var all []vector
	add := func(u engine.HotUpgrade, over Over) {
		u = r.Upgrade(app, u, over, at)
		all = append(all, vector{app.Fly, app.OTP, keyOf(t, 1).Public().String(), keyOf(t, 1).Public().ID(), u, string(message(app, *u.Signature, u))})
	}
	add(complete, Over{Image: image, ImageCode: strings.Repeat("1d", 16)})
	add(complete, Over{Image: "registry.fly.io/my-app:deployment-01A", Machine: "3d8d9930f32389"})
	bare := complete // what another flydeploy has recorded
	bare.Agent, bare.Fingerprint, bare.GitRevision, bare.ReleaseCommand, bare.Version = engine.CompiledAgent{}, "", "", "", "1.0.0-größer 5"
	add(bare, Over{Image: image})
	applied := complete
	applied.ApplyConfig = true
	add(applied, Over{Image: image})
	applied.ApplyChildren = engine.ApplyChildrenRestart
	add(applied, Over{Image: image})
	return all
}

// A console of tomorrow and the package in a VM of today must make the same bytes: they are never changed, only superseded.
func TestSignaturesAreTheRecordedOnes(t *testing.T) {
	isRecorded(t, vectorsFile, vectors(t))
}

func refused(t *testing.T, what string, err error, says string) {
	t.Helper()
	var p *engine.Problem
	if !errors.As(err, &p) || p.Name != "wrong_signature" || !strings.Contains(p.What, says) || p.Remedy == "" {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, says)
	}
}

func TestAnAlteredUpgradeIsRefused(t *testing.T) {
	r := ringOf(t, 1)
	signed := func() engine.HotUpgrade {
		return r.Upgrade(app, complete, Over{Image: image, Machine: "m1"}, at)
	}
	if err := r.CheckUpgrade(app, signed(), image, "m1"); err != nil {
		t.Errorf("what was signed: %v", err)
	}
	for what, alter := range map[string]func(*engine.HotUpgrade){
		"version": func(u *engine.HotUpgrade) { u.Version = "1.2.5" }, "sha256": func(u *engine.HotUpgrade) { u.SHA256 = strings.Repeat("0e", 32) },
		"size": func(u *engine.HotUpgrade) { u.Size++ }, "id": func(u *engine.HotUpgrade) { u.ID = "01K93QYYYYYYYYYYYYYYYYYYYY" },
		"source": func(u *engine.HotUpgrade) { u.SourceImageRef += "x" }, "time": func(u *engine.HotUpgrade) { u.DeployedAt = at },
		"fingerprint": func(u *engine.HotUpgrade) { u.Fingerprint = "" }, "revision": func(u *engine.HotUpgrade) { u.GitRevision = "" },
		"agent": func(u *engine.HotUpgrade) { u.Agent.SHA256 = strings.Repeat("0b", 32) }, "agent's size": func(u *engine.HotUpgrade) { u.Agent.Size++ },
		"children":       func(u *engine.HotUpgrade) { u.ApplyChildren = engine.ApplyChildrenKeep },
		"configuration":  func(u *engine.HotUpgrade) { u.ApplyConfig = true },
		"agent's source": func(u *engine.HotUpgrade) { u.Agent.Source = "x" }, "OTP": func(u *engine.HotUpgrade) { u.Agent.OTP = "28" },
		"Elixir": func(u *engine.HotUpgrade) { u.Agent.Elixir = "1.18.34" }, "signed image": func(u *engine.HotUpgrade) { u.Signature.Image += "0" },
		"signed code": func(u *engine.HotUpgrade) { u.Signature.ImageCode = "x" }, "signed machine": func(u *engine.HotUpgrade) { u.Signature.Machine = "" },
		"signed time": func(u *engine.HotUpgrade) { u.Signature.SignedAtMS++ }, "signature": func(u *engine.HotUpgrade) { u.Signature.Value[7] ^= 1 },
		"no signature": func(u *engine.HotUpgrade) { u.Signature.Value = nil },
	} {
		u := signed()
		alter(&u)
		refused(t, what, r.CheckUpgrade(app, u, image, "m1"), "is not what was signed")
	}
	refused(t, "unsigned", r.CheckUpgrade(app, complete, image, "m1"), "is not signed")
	refused(t, "another machine", r.CheckUpgrade(app, signed(), image, "m2"), "another machine")
	refused(t, "another image", r.CheckUpgrade(app, signed(), "registry.fly.io/my-app:deployment-01C", "m1"), "another image")
	refused(t, "another Fly app", r.CheckUpgrade(App{"staging", app.OTP}, signed(), image, "m1"), "another app")
	refused(t, "another OTP app", r.CheckUpgrade(App{app.Fly, "other"}, signed(), image, "m1"), "another app")
	refused(t, "a stranger's", r.CheckUpgrade(app, ringOf(t, 2).Upgrade(app, complete, Over{Image: image}, at), image, "m1"), "not trusted here")
	all := r.Upgrade(app, complete, Over{Image: image}, at)
	if err := r.CheckUpgrade(app, all, "registry.fly.io/my-app:deployment-01A", "m2"); err != nil {
		t.Errorf("what is for all machines: %v", err)
	}
}

// What was packed but perhaps never committed is none for current.json.
func TestADeploysRecordIsNoUpgrade(t *testing.T) {
	r := ringOf(t, 1)
	u := engine.Upgrade{ID: complete.ID, App: app.Fly, OTPApp: app.OTP, Version: complete.Version, SourceImage: complete.SourceImageRef, BaseImage: image,
		SHA256: complete.SHA256, Size: complete.Size, TarballURL: complete.TarballURL, Agent: complete.Agent}
	ordered := Ordered{engine.Selection{Machines: []string{"m1", "m2"}, Regions: []string{"ams"}}, engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 2, Bake: time.Minute}, []string{"01A"}}
	signed := r.Deploy(u, ordered, at)
	if err := r.CheckDeploy(app, u.ID, signed, ordered); err != nil {
		t.Errorf("what was signed: %v", err)
	}
	refused(t, "a copy under another ID", r.CheckDeploy(app, "01K93QYYYYYYYYYYYYYYYYYYYY", signed, ordered), "of another deploy")
	refused(t, "unsigned", r.CheckDeploy(app, u.ID, u, ordered), "is not signed")
	for what, alter := range map[string]func(*Ordered){
		"another machine": func(o *Ordered) { o.Select.Machines = []string{"m1,m2"} }, "no machine": func(o *Ordered) { o.Select.Machines = nil },
		"other regions": func(o *Ordered) { o.Select.Regions = nil }, "groups": func(o *Ordered) { o.Select.ProcessGroups = []string{"app"} },
		"moved": func(o *Ordered) { o.Select.Regions, o.Select.ProcessGroups = nil, o.Select.Regions },
		"all":   func(o *Ordered) { o.Strategy.Kind = engine.StrategyAll }, "waves": func(o *Ordered) { o.Strategy.WaveSize = 0 }, "bake": func(o *Ordered) { o.Strategy.Bake = 0 },
		"resumes another": func(o *Ordered) { o.Resumes = append(o.Resumes, "01B") }, "resumes none": func(o *Ordered) { o.Resumes = nil },
		"by": func(o *Ordered) { o.Strategy.By = engine.WavesByGroup }, "pause": func(o *Ordered) { o.Strategy.Pause = time.Minute },
	} {
		o := ordered
		alter(&o)
		refused(t, what, r.CheckDeploy(app, u.ID, signed, o), "is not what was signed")
	}
	entry := entryOf(signed)
	entry.Signature = signed.Signature
	refused(t, "as an entry of current.json", r.CheckUpgrade(app, entry, image, ""), "is not what was signed")
	altered := signed
	altered.SourceImage = "docker.io/somebody/elses:1"
	refused(t, "another source", r.CheckDeploy(app, u.ID, altered, ordered), "is not what was signed")
	altered = signed
	altered.App = "staging" // it is not the record that says whose it is
	if err := r.CheckDeploy(app, u.ID, altered, ordered); err != nil {
		t.Errorf("the record's own name of the app is for people: %v", err)
	}
	refused(t, "another app's", r.CheckDeploy(App{"staging", app.OTP}, u.ID, signed, ordered), "another app")
}

// ownCodeFile holds a current.json that names no upgrade, signed.
const ownCodeFile = "../../elixir/test/fly_deploy/own_code.json"

func TestThatNoUpgradeIsNamedIsSigned(t *testing.T) {
	r := ringOf(t, 1)
	md := engine.Metadata{ImageRef: image}
	r.OwnCode(app, &md, at)
	if err := r.CheckOwnCode(app, md); err != nil || md.OwnCode.Image != "" {
		t.Fatalf("what was signed: %+v, %v", md.OwnCode, err)
	}
	isRecorded(t, ownCodeFile, struct {
		OwnCode *engine.Signature `json:"own_code"`
		Message string            `json:"message"`
	}{md.OwnCode, string(ownCodeMessage(app, *md.OwnCode))})
	refused(t, "unsigned", r.CheckOwnCode(app, engine.Metadata{}), "is not signed")
	refused(t, "another app's", r.CheckOwnCode(App{app.Fly, "other"}, md), "another app")
	refused(t, "a stranger's", ringOf(t, 2).CheckOwnCode(app, md), "not trusted here")
	later := md
	s := *md.OwnCode
	s.SignedAtMS++
	later.OwnCode = &s
	refused(t, "another time", r.CheckOwnCode(app, later), "is not what was signed")
	entry := r.Upgrade(app, complete, Over{}, at)
	refused(t, "an upgrade's signature", r.CheckOwnCode(app, engine.Metadata{OwnCode: entry.Signature}), "is not what was signed")
	entry.Signature = md.OwnCode
	refused(t, "as an upgrade's", r.CheckUpgrade(app, entry, image, ""), "is not what was signed")

	NewRing(nil, nil).OwnCode(app, &md, at.Add(time.Hour))
	if r.CheckOwnCode(app, md) != nil {
		t.Error("a console without a key takes away what was signed")
	}
	md.HotUpgrade = &entry
	if r.OwnCode(app, &md, at); md.OwnCode != nil {
		t.Error("it stays beside an upgrade for all machines")
	}
}

// namedFile holds a current.json that names an upgrade once for several machines, each with a signature of its own.
const namedFile = "../../elixir/test/fly_deploy/named.json"

func TestAnUpgradeThatIsNamedOnceIsSignedForEachMachine(t *testing.T) {
	r := ringOf(t, 1)
	md := engine.Metadata{ImageRef: "registry.fly.io/my-app:deployment-01A", MachineUpgrades: map[string]engine.HotUpgrade{}}
	for i, id := range []string{"m1", "m2", "m3", "m4"} {
		u := complete
		u.ByName = id != "m4"
		md.MachineUpgrades[id] = r.Upgrade(app, u, Over{Image: image, Machine: id}, at.Add(time.Duration(i)*time.Second))
	}
	body, err := engine.EncodeMetadata(md)
	if err != nil {
		t.Fatal(err)
	}
	// What was signed for m1 is put into the entry of m3.
	var altered map[string]any
	if err := json.Unmarshal(body, &altered); err != nil {
		t.Fatal(err)
	}
	entries := altered["machine_upgrades"].(map[string]any)
	entries["m3"] = entries["m1"]
	isRecorded(t, namedFile, altered)
	if body, err = json.Marshal(altered); err != nil {
		t.Fatal(err)
	}
	read, err := engine.DecodeMetadata(body)
	if err != nil {
		t.Fatal(err)
	}
	wrong := r.CheckRecord(app, read)
	refused(t, "another machine's", wrong["m3"], "is not what was signed")
	if len(wrong) != 1 || len(read.MachineUpgrades) != 4 {
		t.Errorf("of %d entries these are wrong: %v", len(read.MachineUpgrades), wrong)
	}
}

// isRecorded compares what is signed with the recorded file, which the Elixir side checks.
func isRecorded(t *testing.T, file string, signed any) {
	t.Helper()
	body, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	body = append(body, '\n')
	if *update {
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, recorded) {
		t.Errorf("the signatures are not those of %s:\n%s", file, body)
	}
}

func TestKeysRotate(t *testing.T) {
	old := ringOf(t, 1).Upgrade(app, complete, Over{Image: image}, at)
	if err := ringOf(t, 2, keyOf(t, 1).Public()).CheckUpgrade(app, old, image, ""); err != nil {
		t.Errorf("the key of before is trusted: %v", err)
	}
	if err := NewRing(nil, []PublicKey{keyOf(t, 1).Public()}).CheckUpgrade(app, old, image, ""); err != nil {
		t.Errorf("a console without a key of its own: %v", err)
	}
}

func TestWithoutAKeyAllIsAsItWas(t *testing.T) {
	none := NewRing(nil, nil)
	if u := none.Upgrade(app, complete, Over{}, at); u.Signature != nil || none.SignsWith() != "" || none.Demands() {
		t.Errorf("it signs: %+v", u)
	}
	if err := errors.Join(none.CheckUpgrade(app, complete, image, ""), none.CheckDeploy(app, "x", engine.Upgrade{}, Ordered{})); err != nil {
		t.Error(err)
	}
	body, err := json.Marshal(complete)
	if err != nil || strings.Contains(string(body), "signature") {
		t.Errorf("%s, %v", body, err)
	}
}

func TestTextsOfKeys(t *testing.T) {
	key, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseKey(key.Secret() + "\n")
	if err != nil || read.Public().String() != key.Public().String() {
		t.Errorf("%v is read as %v: %v", key, read, err)
	}
	public, err := ParsePublicKey(" " + key.Public().String() + "\n")
	if err != nil || public.ID() != key.Public().ID() || len(public.ID()) != 16 {
		t.Errorf("%v: %v", public, err)
	}
	seed := strings.TrimPrefix(key.Secret(), signingPrefix)
	for _, text := range []string{"", seed, "x" + key.Secret(), key.Secret()[:40], key.Public().String()} {
		if _, err := ParseKey(text); err == nil || strings.Contains(err.Error(), seed) {
			t.Errorf("ParseKey(%q): %v", text, err)
		}
		if _, err := ParsePublicKey(strings.Replace(text, publicPrefix, "", 1)); err == nil {
			t.Errorf("ParsePublicKey(%q) is one", text)
		}
	}
	body, err := json.Marshal(map[string]any{"key": key, "ring": NewRing(&key, nil)})
	shown := fmt.Sprintf("%v %+v %#v %s %v %#v %s", key, key, key, key, &key, &key, body)
	if err != nil || strings.Contains(shown, seed) || strings.Contains(shown, "private") {
		t.Errorf("it is shown: %s", shown)
	}
}
