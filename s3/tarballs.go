package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"flydeploy/engine"
)

const sha256Metadata = "sha256" // sent as x-amz-meta-sha256

func newBody(b []byte) io.ReadSeeker { return bytes.NewReader(b) }

// PresignPut implements engine.Tarballs. Content-Length is signed too but is not among the headers, since every HTTP client
// sets it. Repeating an upload whose answer was lost is answered by 412; Stat then tells whose bytes were stored.
func (b *Bucket) PresignPut(ctx context.Context, key string, size int64, sha string, valid time.Duration) (
	string, map[string]string, error,
) {
	if err := checkKey(key); err != nil {
		return "", nil, err
	}
	request, err := b.presigner.PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.bucket, Key: &key, ContentLength: &size, IfNoneMatch: aws.String("*"),
		Metadata: map[string]string{sha256Metadata: sha},
	}, s3.WithPresignExpires(valid))
	if err != nil {
		return "", nil, b.explain(ctx, "sign an upload", key, err)
	}
	headers := map[string]string{}
	for name, values := range request.SignedHeader {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length":
		default:
			headers[http.CanonicalHeaderKey(name)] = strings.Join(values, ",")
		}
	}
	return request.URL, headers, nil
}

// PresignGet implements engine.Tarballs. The URL works without any header. A download from Tigris right after the upload
// should send X-Tigris-Consistent: true, which need not be signed.
func (b *Bucket) PresignGet(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	request, err := b.plainPresigner.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key},
		s3.WithPresignExpires(valid))
	if err != nil {
		return "", b.explain(ctx, "sign a download", key, err)
	}
	return request.URL, nil
}

// Put implements engine.Tarballs. A large file may take long: ctx bounds it, and no time limit of other requests does.
func (b *Bucket) Put(ctx context.Context, key string, file io.ReadSeeker, sha string, progress func(done, total int64)) error {
	if err := checkKey(key); err != nil {
		return err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", key, err)
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.bucket, Key: &key, Body: file, IfNoneMatch: aws.String("*"), ContentLength: &size,
		Metadata: map[string]string{sha256Metadata: sha},
	}, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: &sending{b.transport, size, progress}}
	})
	return b.explain(ctx, "upload", key, err)
}

// sending tells how much of a request's body was sent.
type sending struct {
	next     http.RoundTripper
	total    int64
	progress func(done, total int64)
}

// RoundTrip implements http.RoundTripper.
func (s *sending) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.progress != nil && r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = &counted{ReadCloser: r.Body, of: s}
	}
	return s.next.RoundTrip(r)
}

type counted struct {
	io.ReadCloser
	of   *sending
	done int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.done += int64(n); n > 0 {
		c.of.progress(c.done, c.of.total)
	}
	return n, err
}

// Get implements engine.Tarballs.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	found, err := b.get(ctx, "download", key, limit)
	return found.body, err
}

// Stat implements engine.Tarballs.
func (b *Bucket) Stat(ctx context.Context, key string) (engine.Object, error) {
	if err := checkKey(key); err != nil {
		return engine.Object{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := b.client.HeadObject(bounded, &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return engine.Object{}, b.explain(ctx, "inspect a tarball", key, err)
	}
	object := engine.Object{Key: key, Size: aws.ToInt64(out.ContentLength)}
	for name, value := range out.Metadata {
		if strings.EqualFold(name, sha256Metadata) {
			object.SHA256 = value
		}
	}
	return object, nil
}

// Delete implements engine.Tarballs. It is not an error if the object does not exist.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err := b.client.DeleteObject(bounded, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key})
	if err = b.explain(ctx, "delete", key, err); errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// URL implements engine.Tarballs.
func (b *Bucket) URL(key string) string {
	return b.endpoint.JoinPath(b.bucket, key).String()
}
