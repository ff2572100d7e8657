defmodule FlyDeploy.Settings do
  @moduledoc false

  @endpoint "https://fly.storage.tigris.dev"

  @type t :: %{
          endpoint: String.t(),
          region: String.t(),
          bucket: String.t(),
          access_key_id: String.t(),
          secret_access_key: String.t(),
          session_token: String.t() | nil,
          cacerts: String.t() | nil
        }

  @doc """
  Where the bucket is, and how to get in: out of the environment's variables and `config :fly_deploy`.

      iex> env = %{"AWS_ACCESS_KEY_ID" => "id", "AWS_SECRET_ACCESS_KEY" => "key", "FLY_APP_NAME" => "my-app"}
      iex> {:ok, settings} = FlyDeploy.Settings.load(env, [])
      iex> {settings.endpoint, settings.region, settings.bucket}
      {"https://fly.storage.tigris.dev", "auto", "my-app-releases"}

      iex> FlyDeploy.Settings.load(%{}, bucket: "releases")
      {:error, "AWS_ACCESS_KEY_ID is not set: run `fly storage create`"}

  `:session_token` belongs to keys that expire, and `:cacerts` are the certificates (PEM) of the file AWS_CA_BUNDLE:
  both nil where there are none.
  """
  @spec load(%{String.t() => String.t()}, keyword) :: {:ok, t} | {:error, String.t()}
  def load(env, config) do
    with {:ok, access_key_id} <- key(env, config, :aws_access_key_id),
         {:ok, secret_access_key} <- key(env, config, :aws_secret_access_key),
         {:ok, endpoint} <-
           endpoint(config[:aws_endpoint_url_s3] || set(env, "AWS_ENDPOINT_URL_S3") || @endpoint),
         {:ok, bucket} <- bucket(env, config),
         {:ok, cacerts} <- cacerts(set(env, "AWS_CA_BUNDLE")) do
      {:ok,
       %{
         endpoint: endpoint,
         region: config[:aws_region] || set(env, "AWS_REGION") || "auto",
         bucket: bucket,
         access_key_id: access_key_id,
         secret_access_key: secret_access_key,
         session_token: config[:aws_session_token] || set(env, "AWS_SESSION_TOKEN"),
         cacerts: cacerts
       }}
    end
  end

  defp key(env, config, name) do
    variable = name |> Atom.to_string() |> String.upcase()

    case config[name] || set(env, variable) do
      nil -> {:error, "#{variable} is not set: " <> remedy(set(env, "AWS_ROLE_ARN"))}
      value -> {:ok, value}
    end
  end

  defp remedy(nil), do: "run `fly storage create`"

  defp remedy(_role) do
    "AWS_ROLE_ARN names a role, which flydeploy does not take on; " <>
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may read the bucket"
  end

  defp cacerts(nil), do: {:ok, nil}

  defp cacerts(path) do
    case File.read(path) do
      {:ok, pem} -> {:ok, pem}
      {:error, reason} -> {:error, "AWS_CA_BUNDLE (#{path}) cannot be read: #{:file.format_error(reason)}"}
    end
  end

  defp bucket(env, config) do
    case config[:bucket] || set(env, "AWS_BUCKET") || set(env, "BUCKET_NAME") ||
           default(set(env, "FLY_APP_NAME")) do
      nil -> {:error, "no bucket is known: set AWS_BUCKET"}
      bucket -> {:ok, bucket}
    end
  end

  defp default(nil), do: nil
  defp default(fly_app), do: fly_app <> "-releases"

  # The text of the address is not repeated: it may hold a password.
  defp endpoint(text) do
    case URI.parse(text) do
      %URI{scheme: scheme, host: <<_, _::binary>>, userinfo: nil, query: nil}
      when scheme in ["http", "https"] ->
        {:ok, String.trim_trailing(text, "/")}

      _ ->
        {:error, "AWS_ENDPOINT_URL_S3 is not a URL like #{@endpoint}"}
    end
  end

  # A variable that is set to nothing counts as not set.
  defp set(env, name) do
    case Map.get(env, name, "") do
      "" -> nil
      value -> value
    end
  end
end
