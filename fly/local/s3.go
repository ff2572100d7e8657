package local

import (
	"bytes"
	"context"
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
)

// S3Info is what a client of the object store needs. SecretAccessKey is a secret, random for each start.
type S3Info struct {
	Endpoint        string // path-style: http://127.0.0.1:PORT, the same inside of machines
	Region          string
	Bucket          string
	AccessKeyID     string
	SecretAccessKey string
}

// environment has the names that `fly storage create` sets.
func (i S3Info) environment() map[string]string {
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

// objectStore is gofakes3 with what it lacks to be as right as S3 is.
type objectStore struct {
	service *service
	s3      S3Info
	// writes is held by one writing request at a time: gofakes3 looks at the condition of a PUT and writes the object in
	// two steps, so that several of the writers that race would win.
	writes sync.Mutex
	fake   http.Handler
}

func startObjectStore(ctx context.Context, bucket string, faults *Faults) (*objectStore, error) {
	service, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	backend := s3mem.New()
	if err := backend.CreateBucket(ctx, bucket); err != nil {
		return nil, fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	store := &objectStore{service: service, s3: S3Info{
		Endpoint:        service.url(),
		Region:          "auto",
		Bucket:          bucket,
		AccessKeyID:     "tid_" + randomName(20),
		SecretAccessKey: "tsec_" + randomName(40),
	}}
	keys := map[string]string{store.s3.AccessKeyID: store.s3.SecretAccessKey}
	// Header and presigned signatures, the latter's expiry included, are checked by gofakes3.
	store.fake = gofakes3.New(backend, gofakes3.WithV4Auth(keys)).Server()
	service.serve(faults.decorate(store.target, store))
	return store, nil
}

func (s *objectStore) info() S3Info { return s.s3 }

func (s *objectStore) target(r *http.Request) Target {
	key := strings.TrimPrefix(r.URL.Path, "/"+s.s3.Bucket+"/")
	return Target{Service: S3, Action: r.Method, Subject: key}
}

func (s *objectStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.fake.ServeHTTP(w, r)
		return
	}
	// The body is read before the lock is taken, so that a slow writer holds nobody up.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxObject))
	if err != nil {
		answer(w, http.StatusBadRequest, []byte(s3Error("IncompleteBody", "the body ended early or is too large")))
		return
	}
	if !digestMatches(r.Header.Get("X-Amz-Content-Sha256"), body) {
		answer(w, http.StatusBadRequest, []byte(s3Error("XAmzContentSHA256Mismatch", "the body is not the one that was signed")))
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

func s3Error(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error>`
}
