package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
)

const (
	firstID  = "01K94R0000000000000000000A"
	secondID = "01K94R0000000000000000000B"
	thirdID  = "01KA000000000000000000000A"
)

func TestOnlyOurDeploysAreListedAndDeleted(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	others := []string{"20250115-103000", "my_app-1.2.3", "01k94r0000000000000000000a", "81K94R0000000000000000000A", "01K94R"}
	for _, id := range append([]string{secondID, thirdID, firstID}, others...) {
		if err := b.WriteResult(t.Context(), id, "148e.json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	list := func(want ...string) {
		t.Helper()
		if ids, err := b.Upgrades(t.Context()); err != nil || !slices.Equal(ids, want) {
			t.Errorf("listed %q, %v, want %q", ids, err, want)
		}
	}
	list(thirdID, secondID, firstID)
	for _, id := range append(others, "", ".", firstID+"/148e.json") {
		if err := b.DeleteUpgrade(t.Context(), id); err == nil {
			t.Errorf("deleted %q", id)
		}
	}
	if err := b.DeleteUpgrade(t.Context(), secondID); err != nil {
		t.Fatal(err)
	}
	list(thirdID, firstID)
	for _, id := range others {
		if _, err := b.Result(t.Context(), id, "148e.json"); err != nil {
			t.Errorf("the result of %s: %v", id, err)
		}
	}
}

func TestALargeRecordCanBeRead(t *testing.T) {
	t.Parallel()
	c := startServer(t)
	b := open(t, c)
	if err := b.WriteResult(t.Context(), firstID, "events.ndjson", bytes.Repeat([]byte("x"), 5<<20)); err != nil {
		t.Fatal(err)
	}
	if doc, err := b.Result(t.Context(), firstID, "events.ndjson"); err != nil || len(doc.Body) != 5<<20 {
		t.Errorf("read %d, %v", len(doc.Body), err)
	}
	for size, tooMuch := range map[int64]bool{64 << 20: false, 64<<20 + 1: true} {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK, Status: "200 OK", Request: r, Header: http.Header{"Etag": {`"1"`}}, ContentLength: size,
				Body: io.NopCloser(io.LimitReader(endless{}, size)),
			}, nil
		})
		doc, err := open(t, c).Result(t.Context(), firstID, "events.ndjson")
		if tooMuch {
			wantProblem(t, err, "object_too_large")
		} else if err != nil || int64(len(doc.Body)) != size {
			t.Errorf("%d bytes: read %d, %v", size, len(doc.Body), err)
		}
	}
	url, headers, err := b.PresignPut(t.Context(), currentKey, 4<<20+1, digest("x"), ttl)
	if err != nil || upload(t, url, headers, string(bytes.Repeat([]byte(" "), 4<<20+1))) != http.StatusOK {
		t.Fatalf("could not write a large current.json: %v", err)
	}
	_, _, err = b.Metadata(t.Context())
	wantProblem(t, err, "object_too_large")
}

// endless gives as much as is read.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
