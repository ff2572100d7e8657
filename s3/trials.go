package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
)

var _ engine.Trials = (*Bucket)(nil)

// Location says where the bucket is and which access key opens it. It contains no secret.
type Location struct{ Endpoint, Region, Bucket, AccessKeyID string }

// Location is what the configuration resolved to.
func (b *Bucket) Location(ctx context.Context) (Location, error) {
	options := b.client.Options()
	keys, err := options.Credentials.Retrieve(ctx)
	if err != nil {
		return Location{}, b.explain(ctx, "find the access key", "", err)
	}
	return Location{Endpoint: b.endpoint.String(), Region: options.Region, Bucket: b.bucket, AccessKeyID: keys.AccessKeyID}, nil
}

// noSuchETag has the form of an ETag but belongs to no object.
const noSuchETag = `"00000000000000000000000000000000"`

// TryConditions implements engine.Trials. It writes an object below releases/<app>-doctor/ and removes it, even if ctx has
// ended.
func (b *Bucket) TryConditions(ctx context.Context) (err error) {
	key := "releases/" + b.app + "-doctor/" + ulid.Make().String()
	write := func(c condition) (string, error) {
		return b.put(ctx, "try conditional writes", key, "text/plain", []byte("flydeploy doctor\n"), c)
	}
	etag, err := write(condition{create: true})
	if err != nil {
		return fmt.Errorf("create an object: %w", err)
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		err = errors.Join(err, b.Delete(bounded, key))
	}()
	for _, refused := range []struct {
		header    string
		condition condition
	}{
		{"If-None-Match", condition{create: true}}, {"If-Match", condition{ifMatch: noSuchETag}},
	} {
		if _, err := write(refused.condition); err == nil {
			return b.errIgnores(refused.header)
		} else if !errors.Is(err, engine.ErrConflict) {
			return err
		}
	}
	if _, err := write(condition{ifMatch: etag}); errors.Is(err, engine.ErrConflict) {
		return b.errRefuses()
	} else if err != nil {
		return fmt.Errorf("replace the current version of an object: %w", err)
	}
	return nil
}

// errIgnores is the error for a storage that does not look at a header that makes a write conditional.
func (b *Bucket) errIgnores(header string) error {
	return engine.NewProblem("conditions_ignored",
		fmt.Sprintf("%s ignores %s: two deploys could hold the lock at once", b.endpoint.Host, header), nil,
		"Use a storage that honours conditional writes, for example Tigris (`fly storage create`), Amazon S3 or MinIO. If there is a proxy in front of it, check that it passes the header on.")
}

// errRefuses is the error for a storage that takes a header with the current version for another one. Ceph's gateway 16.2 does: it compares
// the quotes as well.
func (b *Bucket) errRefuses() error {
	return engine.NewProblem("conditions_refused",
		b.endpoint.Host+" refuses If-Match with the very version that it has told: no lock could be renewed, and nothing be recorded", nil,
		"Use a storage that honours conditional writes, for example Tigris (`fly storage create`), Amazon S3 or MinIO; of Ceph's gateway a newer version.")
}

// Skew implements engine.Trials. Every answer tells the storage's time, even a refusal.
func (b *Bucket) Skew(ctx context.Context) (time.Duration, error) {
	bounded, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	before := b.clock.measured.Load()
	key := b.currentKey()
	_, err := b.client.HeadObject(bounded, &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key})
	if b.clock.measured.Load() > before {
		return time.Duration(b.clock.skew.Load()), nil
	}
	if err == nil {
		err = errors.New("the answer has no Date header")
	}
	return 0, b.explain(ctx, "read the storage's clock", "", err)
}

// LastLock implements engine.Trials.
func (b *Bucket) LastLock(ctx context.Context) (engine.LockInfo, error) {
	body, err := b.readLock(ctx)
	if err != nil {
		return engine.LockInfo{}, err
	}
	if body.Released {
		return engine.LockInfo{}, fmt.Errorf("read the deploy lock: %w", engine.ErrNotFound)
	}
	return body.LockInfo, nil
}
