package agenttest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
)

const (
	bucketName = App + "-bucket"
	endpoint   = "https://storage.test"
	base       = endpoint + "/" + bucketName + "/"
)

// bucket keeps objects. The world's mutex guards it.
type bucket struct {
	objects map[string]*object
	skew    time.Duration
	version int
}

type object struct {
	body    []byte
	size    int64
	sha256  string // pinned by the uploader
	etag    string
	written time.Time // by the bucket's clock
}

func (b *bucket) now() time.Time { return time.Now().Add(b.skew).UTC() }

// age is that of an object by the bucket's clock, whose times have a resolution of a second.
func (b *bucket) age(o *object) time.Duration {
	return max(b.now().Truncate(time.Second).Sub(o.written.Truncate(time.Second)), 0)
}

func (b *bucket) write(key string, o object) *object {
	b.version++
	o.etag, o.written, o.size = fmt.Sprintf("%q", "v"+strconv.Itoa(b.version)), b.now(), max(o.size, int64(len(o.body)))
	b.objects[key] = &o
	return &o
}

// replace writes if the object is still the version etag, "" being none.
func (b *bucket) replace(key, etag string, body []byte) (*object, error) {
	there := b.objects[key]
	if there == nil && etag != "" || there != nil && there.etag != etag {
		return nil, fmt.Errorf("write s3://%s/%s: %w", bucketName, key, engine.ErrConflict)
	}
	return b.write(key, object{body: bytes.Clone(body)}), nil
}

func (b *bucket) read(key string) (*object, error) {
	if o := b.objects[key]; o != nil {
		return o, nil
	}
	return nil, fmt.Errorf("read s3://%s/%s: %w", bucketName, key, engine.ErrNotFound)
}

// anySize is the size of an upload for which a URL does not say it.
const anySize = -1

// presign gives a URL that is good for a time by the bucket's clock, and for one method, key and size.
func (b *bucket) presign(method, key string, size int64, valid time.Duration) string {
	q := url.Values{"X-Amz-Date": {b.now().Format(time.RFC3339Nano)}, "X-Amz-Expires": {strconv.Itoa(int(valid.Seconds()))}}
	if size != anySize {
		q.Set("X-Size", strconv.FormatInt(size, 10))
	}
	q.Set("X-Amz-Signature", sign(method, key, q))
	return base + key + "?" + q.Encode()
}

func sign(method, key string, q url.Values) string {
	sum := md5.Sum([]byte(strings.Join([]string{method, key, q.Get("X-Amz-Date"), q.Get("X-Amz-Expires"), q.Get("X-Size")}, "\n")))
	return hex.EncodeToString(sum[:])
}

// open checks a presigned URL and gives its key.
func (b *bucket) open(method, address string, size int64) (key string, status int) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, base) {
		return "", 400
	}
	key = keyOf(address)
	q := u.Query()
	at, err := time.Parse(time.RFC3339Nano, q.Get("X-Amz-Date"))
	seconds, _ := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || q.Get("X-Amz-Signature") != sign(method, key, q) || b.now().After(at.Add(time.Duration(seconds)*time.Second)) ||
		q.Has("X-Size") && q.Get("X-Size") != strconv.FormatInt(size, 10) {
		return "", 403
	}
	return key, 200
}

// keyOf gives the key of an object's address.
func keyOf(address string) string {
	bare, _, _ := strings.Cut(address, "?")
	return strings.TrimPrefix(bare, base)
}

// get is a GET by a presigned URL.
func (b *bucket) get(address string) (object, int) {
	key, status := b.open("GET", address, anySize)
	if status != 200 {
		return object{}, status
	}
	if o := b.objects[key]; o != nil {
		return *o, 200
	}
	return object{}, 404
}

// put is a PUT by a presigned URL.
func (b *bucket) put(address string, headers map[string]string, o object) int {
	key, status := b.open("PUT", address, o.size)
	switch {
	case status != 200:
		return status
	case headers["If-None-Match"] == "*" && b.objects[key] != nil:
		return 412
	}
	o.sha256 = headers["X-Amz-Meta-Sha256"]
	b.write(key, o)
	return 200
}

// -- for tests

// SetSkew says how far the bucket's clock is ahead of the console's.
func (w *World) SetSkew(skew time.Duration) { w.locked(func() { w.bucket.skew = skew }) }

// Object gives the content of an object, nil where there is none.
func (w *World) Object(key string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.bucket.objects[key]; o != nil {
		return bytes.Clone(o.body)
	}
	return nil
}

// Objects gives the keys of the bucket that begin with a text.
func (w *World) Objects(prefix string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(w.bucket.objects)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// PutObject writes an object as somebody else would.
func (w *World) PutObject(key string, body []byte) {
	w.locked(func() { w.bucket.write(key, object{body: bytes.Clone(body)}) })
}

// Put is a PUT to a presigned URL, as machines do it; it gives the HTTP status.
func (w *World) Put(address string, headers map[string]string, body string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bucket.put(address, headers, object{body: []byte(body), size: int64(len(body))})
}

// Get is a GET of a presigned URL, as machines do it; it gives the HTTP status.
func (w *World) Get(address string) (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, status := w.bucket.get(address)
	return status, string(o.body)
}

// PutTarball puts the tarball of a release where its version's lies.
func (w *World) PutTarball(r Release) (key string) {
	key = fmt.Sprintf("releases/%s-%s.tar.gz", App, r.Version)
	w.locked(func() { w.bucket.write(key, object{size: r.Size, sha256: r.SHA256}) })
	return key
}

// Current gives current.json, nil where there is none.
func (w *World) Current() *engine.Metadata {
	w.mu.Lock()
	defer w.mu.Unlock()
	md, _, err := w.bucket.metadata(App)
	if err != nil {
		return nil
	}
	return &md
}

// SetCurrent writes current.json.
func (w *World) SetCurrent(md engine.Metadata) {
	body, err := encodeMetadata(md)
	if err != nil {
		panic(err)
	}
	w.PutObject(currentKey(App), body)
}

// -- tarballs

// Storage is the bucket as one console sees it. It is an engine.Locks, Records, Tarballs and Trials.
type Storage struct {
	world   *World
	console string
	watched watched
}

var (
	_ engine.Records  = (*Storage)(nil)
	_ engine.Tarballs = (*Storage)(nil)
)

func (s *Storage) about(kind Kind, arg string) Call {
	return Call{Console: s.console, Kind: kind, Arg: arg}
}

// Now gives the time by the bucket's clock.
func (s *Storage) Now() time.Time {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.bucket.now()
}

// PresignPut implements engine.Tarballs.
func (s *Storage) PresignPut(ctx context.Context, key string, size int64, sha256 string, valid time.Duration) (address string, headers map[string]string, err error) {
	address, err = ask(ctx, s.world, s.about(PresignPut, key), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("PUT", key, size, valid), nil
	})
	return address, map[string]string{"If-None-Match": "*", "X-Amz-Meta-Sha256": sha256}, err
}

// PresignGet implements engine.Tarballs.
func (s *Storage) PresignGet(ctx context.Context, key string, valid time.Duration) (string, error) {
	return ask(ctx, s.world, s.about(PresignGet, key), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("GET", key, anySize, valid), nil
	})
}

// Stat implements engine.Tarballs.
func (s *Storage) Stat(ctx context.Context, key string) (engine.Object, error) {
	return ask(ctx, s.world, s.about(StatTarball, key), func() (engine.Object, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		o, err := s.world.bucket.read(key)
		if err != nil {
			return engine.Object{}, err
		}
		return engine.Object{Key: key, Size: o.size, SHA256: o.sha256}, nil
	})
}

// Delete implements engine.Tarballs.
func (s *Storage) Delete(ctx context.Context, key string) error {
	return tell(ctx, s.world, s.about(DeleteTarball, key), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		delete(s.world.bucket.objects, key)
		return nil
	})
}

// URL implements engine.Tarballs.
func (s *Storage) URL(key string) string { return base + key }

// -- records

func currentKey(app string) string { return "releases/" + app + "-current.json" }

func resultKey(upgrade, name string) string {
	return "releases/" + App + "-results/" + upgrade + "/" + name
}

// ResultKey is the key of a file of a deploy's record.
func ResultKey(upgrade, name string) string { return resultKey(upgrade, name) }

func (b *bucket) metadata(app string) (engine.Metadata, string, error) {
	o, err := b.read(currentKey(app))
	if err != nil {
		return engine.Metadata{}, "", err
	}
	md, err := decodeMetadata(o.body)
	return md, o.etag, err
}

// Metadata implements engine.Records.
func (s *Storage) Metadata(ctx context.Context) (engine.Metadata, string, error) {
	type read struct {
		md   engine.Metadata
		etag string
	}
	r, err := ask(ctx, s.world, s.about(ReadMetadata, ""), func() (read, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		md, etag, err := s.world.bucket.metadata(App)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			err = engine.NewProblem("metadata_unreadable", "s3://"+bucketName+"/"+currentKey(App)+" is not what fly_deploy writes", err, "Look at the object.")
		}
		return read{md, etag}, err
	})
	return r.md, r.etag, err
}

// WriteMetadata implements engine.Records.
func (s *Storage) WriteMetadata(ctx context.Context, md engine.Metadata, etag string) error {
	body, err := encodeMetadata(md)
	if err != nil {
		return err
	}
	return tell(ctx, s.world, s.about(WriteMetadata, ""), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		_, err := s.world.bucket.replace(currentKey(App), etag, body)
		return err
	})
}

// WriteResult implements engine.Records.
func (s *Storage) WriteResult(ctx context.Context, upgrade, name string, body []byte) error {
	return tell(ctx, s.world, s.about(WriteResult, name), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		s.world.bucket.write(resultKey(upgrade, name), object{body: bytes.Clone(body)})
		return nil
	})
}

// PresignResult implements engine.Records.
func (s *Storage) PresignResult(ctx context.Context, upgrade, name string, valid time.Duration) (address, key string, err error) {
	key = resultKey(upgrade, name)
	address, err = ask(ctx, s.world, s.about(PresignResult, name), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("PUT", key, anySize, valid), nil
	})
	return address, key, err
}

// Result implements engine.Records.
func (s *Storage) Result(ctx context.Context, upgrade, name string) (engine.Document, error) {
	return ask(ctx, s.world, s.about(ReadResult, name), func() (engine.Document, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		o, err := s.world.bucket.read(resultKey(upgrade, name))
		if err != nil {
			return engine.Document{}, err
		}
		return engine.Document{Body: bytes.Clone(o.body), Age: s.world.bucket.age(o)}, nil
	})
}

// Upgrades implements engine.Records.
func (s *Storage) Upgrades(ctx context.Context) ([]string, error) {
	return ask(ctx, s.world, s.about(ListUpgrades, ""), func() ([]string, error) {
		var ids []string
		for _, key := range s.world.Objects("releases/" + App + "-results/") {
			if id, _, _ := strings.Cut(strings.TrimPrefix(key, "releases/"+App+"-results/"), "/"); isDeployID(id) {
				ids = append(ids, id)
			}
		}
		ids = slices.Compact(ids)
		slices.Reverse(ids)
		return ids, nil
	})
}

func isDeployID(name string) bool {
	id, err := ulid.ParseStrict(name)
	return err == nil && id.String() == name
}

// DeleteUpgrade implements engine.Records.
func (s *Storage) DeleteUpgrade(ctx context.Context, upgrade string) error {
	return tell(ctx, s.world, s.about(DeleteUpgrade, upgrade), func() error {
		if !isDeployID(upgrade) {
			return fmt.Errorf("delete a deploy's record: %q is not the id of a deploy", upgrade)
		}
		for _, key := range s.world.Objects(resultKey(upgrade, "")) {
			s.world.locked(func() { delete(s.world.bucket.objects, key) })
		}
		return nil
	})
}

// The fields of current.json that we know; the others are kept.
const (
	fieldImageRef        = "image_ref"
	fieldHotUpgrade      = "hot_upgrade"
	fieldMachineUpgrades = "machine_upgrades"
)

func decodeMetadata(body []byte) (engine.Metadata, error) {
	var md engine.Metadata
	if err := json.Unmarshal(body, &md.Extra); err != nil {
		return md, err
	}
	if md.Extra == nil {
		return md, errors.New("it is null")
	}
	for field, into := range map[string]any{
		fieldImageRef: &md.ImageRef, fieldHotUpgrade: &md.HotUpgrade, fieldMachineUpgrades: &md.MachineUpgrades,
	} {
		if raw, ok := md.Extra[field]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return md, fmt.Errorf("%s: %w", field, err)
			}
			delete(md.Extra, field)
		}
	}
	return md, nil
}

func encodeMetadata(md engine.Metadata) ([]byte, error) {
	document := map[string]any{}
	for field, raw := range md.Extra {
		document[field] = raw
	}
	document[fieldImageRef], document[fieldHotUpgrade] = md.ImageRef, md.HotUpgrade
	if len(md.MachineUpgrades) > 0 {
		document[fieldMachineUpgrades] = md.MachineUpgrades
	}
	return json.MarshalIndent(document, "", "  ")
}
