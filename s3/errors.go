package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"flydeploy/engine"
	"flydeploy/text"
)

const (
	remedyKeys = "Run `fly storage create` for the app, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that " +
		"may read and write this bucket."
	remedyRole = "AWS_ROLE_ARN names a role, which flydeploy does not take on. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the " +
		"machines to keys of a user that may read and write this bucket, or give --aws-profile for a profile that takes the role on."
	remedyBucket = "Run `fly storage create -n BUCKET` for the app, or name the right bucket with --bucket or AWS_BUCKET."
)

// maxMessage bounds what is shown of the storage's own words, in runes.
const maxMessage = 300

// failure is the part of an SDK error that may be shown: it contains no signed URLs and no keys.
type failure struct {
	status  int    // 0 if there was no answer
	code    string // S3's, e.g. AccessDenied
	message string
	err     error
}

func (f *failure) Error() string {
	what := f.message
	if f.code != "" && f.message != "" {
		what = f.code + ": " + f.message
	} else if f.code != "" {
		what = f.code
	}
	what = text.Shorten(text.Line(text.Redact(what)), maxMessage)
	if f.status != 0 {
		what = fmt.Sprintf("%d %s", f.status, what)
	}
	return what
}

// Unwrap gives the cause to errors.Is and errors.As. Its own text may contain secrets and is not shown.
func (f *failure) Unwrap() error { return f.err }

func failureOf(err error) *failure {
	f := &failure{err: err}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		f.status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	var request *url.Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &api):
		f.code, f.message = api.ErrorCode(), api.ErrorMessage()
	case errors.As(err, &dns):
		f.message = dns.Error()
	case errors.As(err, &op):
		f.message = op.Error()
	case errors.As(err, &request):
		f.message = request.Err.Error() // without the URL
	case errors.Is(err, context.DeadlineExceeded):
		f.message = "it did not answer in time"
	default:
		f.message = "its answer could not be read"
	}
	return f
}

// explain turns an error of the SDK into one for users, with the operation, the object and what to do. nil stays nil. ctx is
// the caller's: if it has ended, the error is its own; one of our timeouts is reported as a storage that does not answer.
func (b *Bucket) explain(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	what := op + ", " + b.uri(key)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	f := failureOf(err)
	switch {
	case f.code == "NoSuchBucket":
		return engine.NewProblem("bucket_missing", what, f, remedyBucket)
	case f.status == http.StatusPreconditionFailed, f.status == http.StatusConflict:
		return fmt.Errorf("%s: %w", what, engine.ErrConflict)
	case f.status == http.StatusNotFound:
		return fmt.Errorf("%s: %w", what, engine.ErrNotFound)
	case f.code == "InvalidAccessKeyId", f.code == "SignatureDoesNotMatch", f.code == "ExpiredToken",
		f.code == "InvalidToken", f.status == http.StatusUnauthorized:
		return engine.NewProblem("storage_keys", what, f, remedyKeys)
	case f.code == "RequestTimeTooSkewed":
		return engine.NewProblem("clock", what, f, "Correct this computer's clock.")
	case f.status == http.StatusForbidden:
		return engine.NewProblem("storage_forbidden", what, f,
			"Use keys that may read and write this bucket. Some storages give the same answer if the bucket does not exist. "+remedyBucket)
	case f.status == http.StatusMovedPermanently, f.code == "AuthorizationHeaderMalformed":
		return engine.NewProblem("storage_region", what, f, "Set AWS_REGION to the bucket's region.")
	case f.status == 0:
		return engine.NewProblem("storage_unreachable", what, f,
			"Check the network and AWS_ENDPOINT_URL_S3 (now "+b.endpoint.String()+"), and run again.")
	}
	return engine.NewProblem("storage_failed", what, f, "Run again. If that does not help, see the storage's status page.")
}

// tooLarge is the error for an object that flydeploy cannot have written.
func (b *Bucket) tooLarge(op, key string, limit int64) error {
	return engine.NewProblem("object_too_large", fmt.Sprintf("%s: %s is larger than %d MiB", op, b.uri(key), limit>>20), nil,
		"flydeploy does not write objects of that size. Find out what wrote it, and delete it if it is not needed.")
}

// uri names an object in messages.
func (b *Bucket) uri(key string) string { return "s3://" + b.bucket + "/" + key }

func isNotFound(err error) bool { return errors.Is(err, engine.ErrNotFound) }
