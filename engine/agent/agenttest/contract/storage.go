package contract

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// Storage is a bucket as one console sees it.
type Storage interface {
	engine.Locks
	engine.Records
	engine.Tarballs
}

// Bucket is a bucket in which nothing of its OTP application is.
type Bucket interface {
	// Open gives another console's view.
	Open() Storage
	// Put and Get are what machines do with presigned URLs; they give the HTTP status.
	Put(url string, headers map[string]string, body string) int
	Get(url string) (int, string)
}

// StorageScenario is one thing that holds for a bucket; it needs one of its own.
type StorageScenario struct {
	Name string
	Run  func(t testing.TB, b Bucket)
}

// StorageScenarios gives all of them.
func StorageScenarios() []StorageScenario {
	return []StorageScenario{
		{"a lock is held until it is released", lockIsHeld},
		{"a lock expires when nobody renews it", lockExpires},
		{"an override takes the lock that was shown", overrides},
		{"a lock is broken by its version", breaks},
		{"a freeze keeps everybody from the lock", freezes},
		{"current.json is written conditionally", metadata},
		{"results lie below their upgrade", results},
		{"a tarball is never replaced", tarballs},
	}
}

const ttl = time.Minute

func acquire(t testing.TB, s Storage, owner, id string) engine.Lock {
	t.Helper()
	l, err := s.Acquire(t.Context(), owner, id, ttl, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// held expects that somebody else has the lock.
func held(t testing.TB, err error, owner, id string) engine.LockInfo {
	t.Helper()
	var held *engine.LockHeldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v, want that %s holds the lock", err, owner)
	}
	if h := held.Held; h.LockedBy != owner || h.DeploymentID != id || h.ETag == "" || h.Released {
		t.Fatalf("held by %+v, not by %s", h, owner)
	}
	return held.Held
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func lockIsHeld(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	_, err := ann.Current(t.Context())
	is(t, err, engine.ErrNotFound)
	l := acquire(t, ann, "ann@laptop", "01A")
	_, err = bob.Acquire(t.Context(), "bob@desk", "01B", ttl, "")
	first := held(t, err, "ann@laptop", "01A")
	if first.Lifetime() != ttl || first.ExpiresIn() > ttl || first.ExpiresIn() < ttl/2 || first.ExpiresAt.Sub(first.LockedAt) != ttl {
		t.Errorf("%+v", first)
	}
	must(t, l.Renew(t.Context()))
	now, err := bob.Current(t.Context())
	if err != nil || now.ETag == first.ETag || now.DeploymentID != "01A" || !now.LockedAt.Equal(first.LockedAt) || now.ExpiresAt.Before(first.ExpiresAt) {
		t.Errorf("after a renewal: %+v %v, before %+v", now, err, first)
	}
	// Taking one's own again finds it: the answer was lost.
	again := acquire(t, ann, "ann@laptop", "01A")
	must(t, again.Renew(t.Context()))
	must(t, l.Renew(t.Context()))
	must(t, l.Release(t.Context()))
	must(t, l.Release(t.Context()))
	is(t, l.Renew(t.Context()), engine.ErrLockLost)
	is(t, again.Renew(t.Context()), engine.ErrLockLost)
	_, err = bob.Current(t.Context())
	is(t, err, engine.ErrNotFound)
	must(t, acquire(t, bob, "bob@desk", "01B").Release(t.Context()))
}

func lockExpires(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	left, err := ann.Acquire(t.Context(), "ann", "01A", time.Second, "")
	must(t, err)
	_, err = bob.Acquire(t.Context(), "bob", "01B", ttl, "")
	held(t, err, "ann", "01A")
	var taken engine.Lock
	for deadline := time.Now().Add(time.Minute); taken == nil; time.Sleep(50 * time.Millisecond) {
		if taken, err = bob.Acquire(t.Context(), "bob", "01B", ttl, ""); err != nil {
			held(t, err, "ann", "01A")
		}
		if time.Now().After(deadline) {
			t.Fatal("the lock does not expire")
		}
	}
	is(t, left.Renew(t.Context()), engine.ErrLockLost)
	must(t, left.Release(t.Context())) // another's is left alone
	must(t, taken.Renew(t.Context()))
	if now, err := ann.Current(t.Context()); err != nil || now.DeploymentID != "01B" {
		t.Errorf("%+v %v", now, err)
	}
}

func overrides(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	lost := acquire(t, ann, "ann", "01A")
	shown, err := bob.Current(t.Context())
	must(t, err)
	must(t, lost.Renew(t.Context()))
	_, err = bob.Acquire(t.Context(), "bob", "01B", ttl, shown.ETag)
	now := held(t, err, "ann", "01A")
	l, err := bob.Acquire(t.Context(), "bob", "01B", ttl, now.ETag)
	must(t, err)
	if err := lost.Renew(t.Context()); !errors.Is(err, engine.ErrLockLost) || !strings.Contains(err.Error(), "bob") {
		t.Errorf("renewing an overridden lock: %v", err)
	}
	must(t, lost.Release(t.Context()))
	must(t, l.Renew(t.Context()))
	must(t, l.Release(t.Context()))
}

func breaks(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	is(t, bob.Break(t.Context(), `"none"`, "bob"), engine.ErrNotFound)
	l := acquire(t, ann, "ann", "01A")
	shown, err := bob.Current(t.Context())
	must(t, err)
	must(t, l.Renew(t.Context()))
	now := held(t, bob.Break(t.Context(), shown.ETag, "bob"), "ann", "01A")
	must(t, bob.Break(t.Context(), now.ETag, "bob"))
	is(t, bob.Break(t.Context(), now.ETag, "bob"), engine.ErrNotFound)
	if err := l.Renew(t.Context()); !errors.Is(err, engine.ErrLockLost) || !strings.Contains(err.Error(), "released by bob") {
		t.Errorf("renewing a broken lock: %v", err)
	}
	must(t, acquire(t, bob, "bob", "01B").Release(t.Context()))
}

func freezes(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	must(t, ann.Freeze(t.Context(), "ann", "01F", "Black Friday", 2*time.Hour))
	must(t, ann.Freeze(t.Context(), "ann", "01F", "Black Friday", 2*time.Hour)) // the answer was lost
	for _, s := range []Storage{ann, bob} {
		_, err := s.Acquire(t.Context(), "bob", "01B", ttl, "")
		if h := held(t, err, "ann", "01F"); h.Freeze != "Black Friday" || h.Lifetime() != 2*time.Hour || h.ExpiresIn() < time.Hour {
			t.Errorf("%+v", h)
		}
		held(t, s.Freeze(t.Context(), "bob", "01G", "mine", time.Hour), "ann", "01F")
	}
	now, err := bob.Current(t.Context())
	must(t, err)
	l, err := bob.Acquire(t.Context(), "bob", "01B", ttl, now.ETag)
	must(t, err)
	if now, err := ann.Current(t.Context()); err != nil || now.Freeze != "" || now.DeploymentID != "01B" {
		t.Errorf("an override ends the freeze: %+v %v", now, err)
	}
	must(t, l.Release(t.Context()))
	must(t, ann.Freeze(t.Context(), "ann", "01H", "again", time.Hour))
	now, err = bob.Current(t.Context())
	must(t, err)
	must(t, bob.Break(t.Context(), now.ETag, "bob"))
	must(t, acquire(t, bob, "bob", "01B").Release(t.Context()))
}

func metadata(t testing.TB, b Bucket) {
	ann, bob := b.Open(), b.Open()
	_, none, err := ann.Metadata(t.Context())
	is(t, err, engine.ErrNotFound)
	if none != "" {
		t.Errorf("an object that is not there has the ETag %q", none)
	}
	first := engine.Metadata{ImageRef: "i:v1", ImageCode: &engine.ImageCode{ImageRef: "i:v1", Fingerprint: "c0de"}, HotUpgrade: &engine.HotUpgrade{Version: "2.0.0", SHA256: "ab", Size: 3, ID: "01A"},
		Extra: map[string]json.RawMessage{"theirs": json.RawMessage(`{"a":1}`)}}
	must(t, ann.WriteMetadata(t.Context(), first, ""))
	is(t, bob.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "other"}, ""), engine.ErrConflict)
	read, etag, err := bob.Metadata(t.Context())
	if err != nil || etag == "" || read.ImageRef != "i:v1" || read.ImageCode == nil || *read.ImageCode != *first.ImageCode || read.HotUpgrade == nil || *read.HotUpgrade != *first.HotUpgrade || len(read.MachineUpgrades) != 0 || len(read.Extra) != 1 {
		t.Fatalf("%+v %q %v", read, etag, err)
	}
	read.OwnCode = &engine.Signature{Key: "0123", SignedAtMS: 1, Value: []byte{1}}
	read.HotUpgrade, read.MachineUpgrades = nil, map[string]engine.HotUpgrade{"m1": {Version: "2.0.0", ID: "01A"}}
	must(t, bob.WriteMetadata(t.Context(), read, etag))
	is(t, ann.WriteMetadata(t.Context(), first, etag), engine.ErrConflict)
	read, again, err := ann.Metadata(t.Context())
	if err != nil || again == etag || read.HotUpgrade != nil || read.MachineUpgrades["m1"].ID != "01A" || read.OwnCode == nil || read.OwnCode.Key != "0123" || len(read.Extra) != 1 {
		t.Errorf("%+v %q %v", read, again, err)
	}
}

// Deploys are named by ULIDs, which sort by their time.
const (
	idA = "01J00000000000000000000000"
	idB = "01J00000000000000000000001"
	idC = "01J00000000000000000000002"
)

func results(t testing.TB, b Bucket) {
	s := b.Open()
	if ids, err := s.Upgrades(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("an empty bucket has %v %v", ids, err)
	}
	_, err := s.Result(t.Context(), idA, "deploy.json")
	is(t, err, engine.ErrNotFound)
	for _, id := range []string{idA, idC, idB, "theirs"} {
		must(t, s.WriteResult(t.Context(), id, "deploy.json", []byte(`{"id":1}`)))
		must(t, s.WriteResult(t.Context(), id, "deploy.json", []byte(`{"id":2}`)))
	}
	if ids, err := s.Upgrades(t.Context()); err != nil || !slices.Equal(ids, []string{idC, idB, idA}) {
		t.Errorf("%v %v", ids, err)
	}
	if d, err := s.Result(t.Context(), idB, "deploy.json"); err != nil || string(d.Body) != `{"id":2}` || d.Age < 0 || d.Age > time.Minute {
		t.Errorf("%s, %v old: %v", d.Body, d.Age, err)
	}
	url, key, err := s.PresignResult(t.Context(), idB, "m1.report.json.gz", time.Minute)
	must(t, err)
	if !strings.HasPrefix(key, "releases/") || !strings.HasSuffix(key, "-results/"+idB+"/m1.report.json.gz") {
		t.Errorf("key %s", key)
	}
	if status := b.Put(url, nil, "report"); status != 200 {
		t.Errorf("the report's upload: %d", status)
	}
	if d, _ := s.Result(t.Context(), idB, "deploy.json"); !strings.HasPrefix(d.Address, "http") || !strings.HasSuffix(d.Address, "-results/"+idB+"/deploy.json") {
		t.Errorf("the record's address is %q", d.Address)
	}
	if d, err := s.Result(t.Context(), idB, "m1.report.json.gz"); err != nil || string(d.Body) != "report" {
		t.Errorf("%s %v", d.Body, err)
	}
	must(t, s.DeleteUpgrade(t.Context(), idB))
	must(t, s.DeleteUpgrade(t.Context(), idB))
	if err := s.DeleteUpgrade(t.Context(), "theirs"); err == nil {
		t.Error("what is no deploy's was deleted")
	}
	if left, err := s.Results(t.Context(), idB, ""); err != nil || len(left) > 0 {
		t.Errorf("left of what was deleted: %v %v", left, err)
	}
	ids, err := s.Upgrades(t.Context())
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == idB }) // SeaweedFS lists a folder that has become empty for some minutes
	if err != nil || !slices.Equal(ids, []string{idC, idA}) {
		t.Errorf("%v %v", ids, err)
	}
}

func tarballs(t testing.TB, b Bucket) {
	s := b.Open()
	const key, body = "releases/counter-2.0.0.tar.gz", "tarball"
	_, err := s.Stat(t.Context(), key)
	is(t, err, engine.ErrNotFound)
	sha := strings.Repeat("ab", 32)
	put, headers, err := s.PresignPut(t.Context(), key, int64(len(body)), sha, time.Minute)
	must(t, err)
	get, err := s.PresignGet(t.Context(), key, time.Minute)
	must(t, err)
	if status, _ := b.Get(get); status != 404 {
		t.Errorf("before the upload: %d", status)
	}
	if status := b.Put(put, headers, body); status != 200 {
		t.Errorf("the upload: %d", status)
	}
	if status := b.Put(put, headers, body); status != 412 {
		t.Errorf("the upload again: %d", status)
	}
	if o, err := s.Stat(t.Context(), key); err != nil || o != (engine.Object{Key: key, Size: int64(len(body)), SHA256: sha}) {
		t.Errorf("%+v %v", o, err)
	}
	if status, text := b.Get(get); status != 200 || text != body {
		t.Errorf("the download: %d %q", status, text)
	}
	// A URL is for one method, one key and one size.
	if status := b.Put(get, headers, body); status != 403 {
		t.Errorf("an upload to the download's URL: %d", status)
	}
	if status := b.Put(strings.Replace(put, "2.0.0", "3.0.0", 1), headers, body); status != 403 {
		t.Errorf("an upload to another key: %d", status)
	}
	must(t, s.Delete(t.Context(), key))
	if status := b.Put(put, headers, body+"!"); status != 403 {
		t.Errorf("an upload of another size: %d", status)
	}
	must(t, s.Delete(t.Context(), key))
	_, err = s.Stat(t.Context(), key)
	is(t, err, engine.ErrNotFound)
	// A file is sent from here whole, wherever somebody has read it to.
	file, sent := strings.NewReader(body), int64(0)
	_, err = file.Seek(3, io.SeekStart)
	must(t, err)
	must(t, s.Put(t.Context(), key, file, sha, func(done, _ int64) { sent = done }))
	is(t, s.Put(t.Context(), key, strings.NewReader("other"), sha, nil), engine.ErrConflict)
	if o, err := s.Stat(t.Context(), key); err != nil || o != (engine.Object{Key: key, Size: int64(len(body)), SHA256: sha}) || sent != o.Size {
		t.Errorf("%+v %v, told were %d bytes", o, err, sent)
	}
	must(t, s.Delete(t.Context(), key))
	if url := s.URL(key); strings.Contains(url, "?") || !strings.HasSuffix(url, "/"+key) || !strings.HasPrefix(put, url+"?") {
		t.Errorf("URL %s", url)
	}
}
