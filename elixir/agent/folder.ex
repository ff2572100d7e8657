defmodule FlyDeployAgent.Folder do
  @moduledoc """
  DIR, the agent's folder: where console and agent meet. The agent writes its status there (`FlyDeployAgent.Status`), and what it
  downloads; the console orders `arm`, `commit`, `abort` and `finish` by making empty folders of these names.
  """

  alias FlyDeployAgent.Status

  @orders ~w(arm commit abort finish)

  @doc "Makes DIR for an order's id; one that is there already is not ours."
  @spec make(binary) :: {:ok, Path.t()} | {:error, binary}
  def make(id) do
    dir = Path.join(System.tmp_dir!(), "flydeploy-#{id}")

    with {:made, :ok} <- {:made, File.mkdir(dir)},
         :ok <- File.chmod(dir, 0o700),
         :ok <- Status.reserve(dir) do
      {:ok, dir}
    else
      {:made, {:error, reason}} ->
        {:error, unmade(dir, reason)}

      {:error, reason} ->
        File.rm_rf(dir)
        {:error, unmade(dir, reason)}
    end
  end

  defp unmade(dir, reason), do: "#{dir} cannot be made: #{:file.format_error(reason)}"

  @doc "The orders that the console has given so far, in one look."
  @spec orders(Path.t()) :: [binary]
  def orders(dir) do
    case File.ls(dir) do
      {:ok, names} -> Enum.filter(names, &(&1 in @orders))
      {:error, _} -> []
    end
  end

  @doc "Whether the console has given this order."
  @spec ordered?(Path.t(), binary) :: boolean
  def ordered?(dir, order), do: order in orders(dir)

  @doc "Removes it. The bulk goes first: the console takes the agent for gone as soon as `DIR/seq` is."
  @spec remove(Path.t()) :: any
  def remove(dir) do
    File.rm_rf(Path.join(dir, "new"))
    File.rm_rf(dir)
  end
end
