package agenttest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

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
