package s3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
)

func upload(t *testing.T, url string, headers map[string]string, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func download(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET: %d, %v: %s", resp.StatusCode, err, body)
	}
	return string(body)
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// store uploads body as machines do.
func store(t *testing.T, b *s3.Bucket, key, body string) {
	t.Helper()
	url, headers, err := b.PresignPut(t.Context(), key, int64(len(body)), digest(body), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status := upload(t, url, headers, body); status != http.StatusOK {
		t.Fatalf("upload: %d", status)
	}
}

func TestTarballTravelsByPresignedURLs(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	b := open(t, c)
	const key, body = "releases/counter-2.0.0.tar.gz", "not really a tarball"
	store(t, b, key, body)
	object, err := b.Stat(t.Context(), key)
	if want := (engine.Object{Key: key, Size: int64(len(body)), SHA256: digest(body)}); err != nil || object != want {
		t.Errorf("stat %+v, want %+v: %v", object, want, err)
	}
	url, err := b.PresignGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := download(t, url); got != body {
		t.Errorf("got %q", got)
	}
	if got := b.URL(key); got != c.Endpoint+"/"+bucket+"/"+key {
		t.Errorf("url %s", got)
	}
	for range 2 { // what is gone can be deleted again
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Stat(t.Context(), key); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
}

func TestPresignedPutAcceptsNothingElse(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	const key, body = "releases/counter-3.tar.gz", "twelve bytes"
	url, headers, err := b.PresignPut(t.Context(), key, int64(len(body)), digest(body), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if headers["If-None-Match"] != "*" || headers["X-Amz-Meta-Sha256"] != digest(body) {
		t.Errorf("headers %v", headers)
	}
	without := func(name string) map[string]string {
		rest := map[string]string{}
		for n, v := range headers {
			if n != name {
				rest[n] = v
			}
		}
		return rest
	}
	other := without("X-Amz-Meta-Sha256")
	other["X-Amz-Meta-Sha256"] = digest("something else")
	for name, try := range map[string]struct {
		headers map[string]string
		body    string
	}{
		"a longer body":         {headers, body + "!"},
		"a shorter body":        {headers, body[1:]},
		"another digest":        {other, body},
		"without the digest":    {without("X-Amz-Meta-Sha256"), body},
		"without the condition": {without("If-None-Match"), body},
	} {
		if status := upload(t, url, try.headers, try.body); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := upload(t, url, headers, body); status != http.StatusOK {
		t.Errorf("as signed: %d", status)
	}
	if status := upload(t, url, headers, body); status != http.StatusPreconditionFailed {
		t.Errorf("over an existing object: %d", status)
	}
}

func TestKeysWithABuildPart(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	const key = "releases/counter-2.0.0-rc.1+build.5.tar.gz"
	store(t, b, key, "x")
	url, err := b.PresignGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if download(t, url) != "x" {
		t.Error("the bytes differ")
	}
}

func TestOnlyKeysBelowReleases(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	for _, key := range []string{"", "releases", "releases/", "other/x", "releases/../x", "releases//x", "releases/a b", "/releases/x"} {
		_, err := b.Stat(t.Context(), key)
		_, errGet := b.PresignGet(t.Context(), key, time.Minute)
		_, _, errPut := b.PresignPut(t.Context(), key, 1, digest("x"), time.Minute)
		errDelete := b.Delete(t.Context(), key)
		for _, err := range []error{err, errGet, errPut, errDelete} {
			if err == nil || !strings.Contains(err.Error(), "not a valid key") {
				t.Errorf("%q: %v", key, err)
			}
		}
	}
}

// A compiled agent that the console has kept travels from here.
func TestAFileTravelsFromHere(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	const key, body = "releases/counter-agent-0123456789ab.beams", "not really an agent"
	if _, err := b.Get(t.Context(), key, 100); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := b.Put(t.Context(), key, strings.NewReader(body), digest(body), nil); err != nil {
		t.Fatal(err)
	}
	object, err := b.Stat(t.Context(), key)
	if want := (engine.Object{Key: key, Size: int64(len(body)), SHA256: digest(body)}); err != nil || object != want {
		t.Errorf("stat %+v, want %+v: %v", object, want, err)
	}
	if got, err := b.Get(t.Context(), key, int64(len(body))); err != nil || string(got) != body {
		t.Errorf("got %q: %v", got, err)
	}
	if _, err := b.Get(t.Context(), key, int64(len(body))-1); err == nil {
		t.Error("a file larger than was asked for was downloaded")
	}
	if err := b.Put(t.Context(), key, strings.NewReader("other"), digest("other"), nil); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a second upload: %v", err)
	}
}

// A large file is sent piece by piece, and so is told how far it is.
func TestALargeFileTellsItsProgress(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	const key = "releases/counter-2.0.0.tar.gz"
	body := strings.Repeat("0123456789abcdef", 1<<16)
	file := strings.NewReader(body)
	if _, err := file.Seek(0, io.SeekEnd); err != nil { // as it was written
		t.Fatal(err)
	}
	var told []int64
	err := b.Put(t.Context(), key, file, digest(body), func(done, total int64) {
		if total != int64(len(body)) {
			t.Errorf("a total of %d bytes", total)
		}
		told = append(told, done)
	})
	if err != nil || len(told) < 4 || !slices.IsSorted(told) || told[len(told)-1] != int64(len(body)) {
		t.Fatalf("told %v: %v", told, err)
	}
	if got, err := b.Get(t.Context(), key, int64(len(body))); err != nil || string(got) != body {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}
