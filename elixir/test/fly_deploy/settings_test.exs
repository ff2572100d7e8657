defmodule FlyDeploy.SettingsTest do
  use ExUnit.Case, async: true

  alias FlyDeploy.{Settings, Storage}

  doctest Settings
  doctest Storage
  doctest FlyDeploy.Version

  @env %{"AWS_ACCESS_KEY_ID" => "id", "AWS_SECRET_ACCESS_KEY" => "secret", "FLY_APP_NAME" => "my-app"}

  defp load(env, config \\ []), do: Settings.load(Map.merge(@env, env), config)

  test "the bucket: config, AWS_BUCKET, BUCKET_NAME, <fly app>-releases" do
    both = %{"AWS_BUCKET" => "a", "BUCKET_NAME" => "b"}
    assert {:ok, %{bucket: "c"}} = load(both, bucket: "c")
    assert {:ok, %{bucket: "a"}} = load(both)
    assert {:ok, %{bucket: "b"}} = load(%{both | "AWS_BUCKET" => ""})
    assert {:ok, %{bucket: "my-app-releases"}} = load(%{})
    assert {:error, "no bucket is known: " <> _} = load(%{"FLY_APP_NAME" => ""})
  end

  test "configured keys, endpoint and region come before the variables" do
    env = %{"AWS_ENDPOINT_URL_S3" => "https://elsewhere.example", "AWS_REGION" => "eu-west-1"}

    assert {:ok, %{endpoint: "https://elsewhere.example", region: "eu-west-1", access_key_id: "id"}} =
             load(env)

    config = [
      aws_access_key_id: "mine",
      aws_secret_access_key: "hidden",
      aws_endpoint_url_s3: "https://t3.storage.dev/",
      aws_region: "auto"
    ]

    assert {:ok,
            %{
              endpoint: "https://t3.storage.dev",
              region: "auto",
              access_key_id: "mine",
              secret_access_key: "hidden"
            }} = load(env, config)
  end

  test "what is missing is named" do
    assert {:error, "AWS_ACCESS_KEY_ID is not set: " <> _} = load(%{"AWS_ACCESS_KEY_ID" => ""})
    assert {:error, "AWS_SECRET_ACCESS_KEY is not set: " <> _} = load(%{"AWS_SECRET_ACCESS_KEY" => ""})
  end

  test "a role is not taken on, and the error says what to do" do
    role = %{"AWS_ACCESS_KEY_ID" => "", "AWS_ROLE_ARN" => "arn:aws:iam::1:role/a"}
    assert {:error, "AWS_ACCESS_KEY_ID is not set: AWS_ROLE_ARN names a role" <> _} = load(role)
  end

  test "keys that expire, and certificates of one's own" do
    path = Path.join(System.tmp_dir!(), "fly_deploy-settings-#{System.unique_integer([:positive])}.pem")
    assert {:ok, %{session_token: nil, cacerts: nil}} = load(%{})
    assert {:error, "AWS_CA_BUNDLE (" <> _} = load(%{"AWS_CA_BUNDLE" => path})
    File.write!(path, "PEM")
    on_exit(fn -> File.rm(path) end)

    assert {:ok, %{session_token: "t", cacerts: "PEM"}} =
             load(%{"AWS_CA_BUNDLE" => path, "AWS_SESSION_TOKEN" => "t"})
  end

  test "an endpoint that is no address is not repeated" do
    for endpoint <- [
          "ftp://a.example",
          "a.example",
          "https://",
          "https://me:secret@a.example",
          "https://a.example?secret"
        ] do
      assert {:error, "AWS_ENDPOINT_URL_S3 is not a URL like " <> _ = text} =
               load(%{"AWS_ENDPOINT_URL_S3" => endpoint})

      refute text =~ "secret"
    end
  end
end
