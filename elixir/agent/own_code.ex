defmodule FlyDeployAgent.OwnCode do
  @moduledoc """
  The agent's modules as they were compiled. A VM that runs them has no way to give them back, so they are downloaded once more.
  """

  alias FlyDeployAgent.Http

  # It is a tenth of that.
  @most 4 * 1_048_576

  @doc "Gives `{:ok, [{module, beam}]}`, out of the file that the order names (FlyDeployOrchestrator.Compiled says what that is)."
  @spec get(FlyDeployAgent.Order.t()) :: {:ok, [{module, binary}]} | {:error, binary}
  def get(%{agent_url: url, agent_sha256: sha256, cacerts: cacerts}) do
    with {:ok, {pieces, _size}} <- Http.get(url, [cacerts: cacerts], {[], 0}, &add/2),
         file = pieces |> Enum.reverse() |> IO.iodata_to_binary(),
         ^sha256 <- :sha256 |> :crypto.hash(file) |> Base.encode16(case: :lower) do
      {:flydeploy_agent, 1, _agent, compiled} = :erlang.binary_to_term(file)
      {:ok, compiled}
    else
      {:error, text} -> {:error, "the agent's code could not be downloaded: #{text}"}
      _other -> {:error, "the sha256 of the agent's code is not the expected one"}
    end
  end

  defp add(data, {_pieces, size}) when size + byte_size(data) > @most, do: {:halt, "it is too large"}
  defp add(data, {pieces, size}), do: {:cont, {[data | pieces], size + byte_size(data)}}
end
