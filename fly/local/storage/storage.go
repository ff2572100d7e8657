// Package storage is an object store that speaks S3, as `fly storage create` gives an app one. It holds everything in
// memory.
package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"flydeploy/fly/local/fault"
)

// Info is what a client of the store needs. SecretAccessKey is a secret, random for each store.
type Info struct {
	Endpoint        string // path-style: http://127.0.0.1:PORT, the same inside of machines
	Region          string
	Bucket          string
	AccessKeyID     string
	SecretAccessKey string
}

// Environment has the variables that `fly storage create` sets.
func (i Info) Environment() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":     i.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": i.SecretAccessKey,
		"AWS_ENDPOINT_URL_S3":   i.Endpoint,
		"AWS_REGION":            i.Region,
		"BUCKET_NAME":           i.Bucket,
	}
}

// maxObject bounds what one request may upload: it is held in memory.
const maxObject = 512 << 20

// Store is gofakes3, and what gofakes3 lacks to be as strict as S3 is.
type Store struct {
	info Info
	// writes is held by one writing request at a time: gofakes3 looks at the condition of a PUT and writes the object in
	// two steps, so that several of the writers that race would win.
	writes sync.Mutex
	fake   http.Handler
}

// New makes a store with one empty bucket. endpoint is the base URL at which its handler will be served.
func New(ctx context.Context, endpoint, bucket string) (*Store, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(ctx, bucket); err != nil {
		return nil, fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	s := &Store{info: Info{
		Endpoint:        endpoint,
		Region:          "auto",
		Bucket:          bucket,
		AccessKeyID:     "tid_" + strings.ToLower(rand.Text())[:20],
		SecretAccessKey: "tsec_" + strings.ToLower(rand.Text() + rand.Text())[:40],
	}}
	keys := map[string]string{s.info.AccessKeyID: s.info.SecretAccessKey}
	// Header and presigned signatures, the latter's expiry included, are checked by gofakes3.
	s.fake = gofakes3.New(backend, gofakes3.WithV4Auth(keys)).Server()
	return s, nil
}

// Info tells where the store is and how to sign requests to it.
func (s *Store) Info() Info { return s.info }

// Handler answers requests to the store. The faults meet them first.
func (s *Store) Handler(faults *fault.Faults) http.Handler {
	return faults.Decorate(s.target, http.HandlerFunc(s.serve))
}

func (s *Store) target(r *http.Request) fault.Target {
	key := strings.TrimPrefix(r.URL.Path, "/"+s.info.Bucket+"/")
	return fault.Target{Service: fault.S3, Action: r.Method, Subject: key}
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.fake.ServeHTTP(w, r)
		return
	}
	// The body is read before the lock is taken, so that a slow writer holds nobody up.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxObject))
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody", "the body ended early or is too large")
		return
	}
	if !digestMatches(r.Header.Get("X-Amz-Content-Sha256"), body) {
		refuse(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body is not the one that was signed")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.writes.Lock()
	defer s.writes.Unlock()
	s.fake.ServeHTTP(w, r)
}

// digestMatches checks a body against its signed digest, which gofakes3 leaves unchecked. A header that is no digest
// (UNSIGNED-PAYLOAD, STREAMING-…) announces none.
func digestMatches(header string, body []byte) bool {
	if _, err := hex.DecodeString(header); err != nil || len(header) != 2*sha256.Size {
		return true
	}
	digest := sha256.Sum256(body)
	return subtle.ConstantTimeCompare([]byte(header), []byte(hex.EncodeToString(digest[:]))) == 1
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, errorBody(code, message)) // the client may have gone; that is no concern of the server's
}

func errorBody(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error>`
}
