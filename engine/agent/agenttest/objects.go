package agenttest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
)

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
	body, err := engine.EncodeMetadata(md)
	if err != nil {
		panic(err)
	}
	w.PutObject(currentKey(App), body)
}
